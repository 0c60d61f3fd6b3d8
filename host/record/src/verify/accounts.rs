//! Accounts, as far as the log tells of them: they are made before they do anything, their
//! records count up without a gap, and a disabled one signs in nowhere.
//!
//! A record that was left out is found by its number. Whether a password was right, or a
//! session had expired, no record can prove.

use std::collections::HashMap;

use super::OrderFault;
use crate::leaf::{PersonLeaf, PersonStep, SessionLeaf, SessionStep};

/// Each account, by its name.
#[derive(Debug, Default)]
pub(super) struct Accounts(HashMap<String, Account>);

#[derive(Debug, Default)]
struct Account {
    /// The number of its last record.
    change: u64,
    disabled: bool,
}

impl Accounts {
    pub(super) fn person(&mut self, leaf: &PersonLeaf) -> Result<(), OrderFault> {
        let name = leaf.person.as_str();
        let first = matches!(leaf.step, PersonStep::First | PersonStep::Added);
        let known = self.0.contains_key(name);
        // Check: it is made once, and before anything else.
        if first == known {
            return Err(if known {
                OrderFault::AccountTwice { person: name.to_owned() }
            } else {
                OrderFault::UnknownAccount { person: name.to_owned() }
            });
        }
        // Check: nobody was there to be asked.
        if leaf.step == PersonStep::First && !self.0.is_empty() {
            return Err(OrderFault::NotTheFirstAccount { person: name.to_owned() });
        }
        let account = self.next(name, leaf.change)?;
        match leaf.step {
            PersonStep::Disabled => account.disabled = true,
            PersonStep::Enabled => account.disabled = false,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn session(&mut self, leaf: &SessionLeaf) -> Result<(), OrderFault> {
        let Some(name) = leaf.person.as_ref().map(crate::leaf::Label::as_str) else { return Ok(()) };
        // Check: who is named has an account, also where sign-ins were only counted.
        if !self.0.contains_key(name) {
            return Err(OrderFault::UnknownAccount { person: name.to_owned() });
        }
        let Some(change) = leaf.change else { return Ok(()) };
        let account = self.next(name, change)?;
        if leaf.step == SessionStep::SignedIn && account.disabled {
            return Err(OrderFault::DisabledSignedIn { person: name.to_owned() });
        }
        Ok(())
    }

    /// Check: no record of the account is missing.
    fn next(&mut self, name: &str, change: u64) -> Result<&mut Account, OrderFault> {
        let account = self.0.entry(name.to_owned()).or_default();
        let expected = account.change.saturating_add(1);
        if change != expected {
            return Err(OrderFault::AccountRecord { person: name.to_owned(), found: change, expected });
        }
        account.change = change;
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::leaf::{Label, Listed};
    use portreeve_model::Digest;

    const NONCE: Digest = Digest::from_bytes([0; 32]);

    fn person(name: &str, change: u64, step: PersonStep) -> PersonLeaf {
        let (person, who) = (Label::of(name), Label::of("olga"));
        PersonLeaf { person, change, nonce: NONCE, step, roles: Listed::none(), credential: None, who }
    }

    fn session(name: Option<&str>, change: Option<u64>, step: SessionStep) -> SessionLeaf {
        let person = name.map(Label::of);
        SessionLeaf { person, change, nonce: NONCE, step, why: None, count: 1, credential: None, until: None }
    }

    #[test]
    fn an_account_is_made_once_and_its_records_have_no_gap() {
        let mut accounts = Accounts::default();
        accounts.person(&person("olga", 1, PersonStep::First)).unwrap();
        accounts.person(&person("anna", 1, PersonStep::Added)).unwrap();
        accounts.session(&session(Some("anna"), Some(2), SessionStep::SignedIn)).unwrap();
        accounts.session(&session(None, None, SessionStep::Refused)).unwrap();
        accounts.session(&session(Some("anna"), None, SessionStep::Refused)).unwrap();
        for (leaf, fault) in [
            (person("ben", 1, PersonStep::First), OrderFault::NotTheFirstAccount { person: "ben".to_owned() }),
            (person("ben", 1, PersonStep::Roles), OrderFault::UnknownAccount { person: "ben".to_owned() }),
            (person("anna", 3, PersonStep::Added), OrderFault::AccountTwice { person: "anna".to_owned() }),
            (
                person("anna", 4, PersonStep::Roles),
                OrderFault::AccountRecord { person: "anna".to_owned(), found: 4, expected: 3 },
            ),
        ] {
            assert_eq!(accounts.person(&leaf).unwrap_err(), fault);
        }
    }

    #[test]
    fn a_disabled_account_signs_in_nowhere_until_it_is_enabled() {
        let mut accounts = Accounts::default();
        accounts.person(&person("olga", 1, PersonStep::First)).unwrap();
        accounts.person(&person("olga", 2, PersonStep::Disabled)).unwrap();
        accounts.session(&session(Some("olga"), Some(3), SessionStep::Refused)).unwrap();
        let fault = accounts.session(&session(Some("olga"), Some(4), SessionStep::SignedIn)).unwrap_err();
        assert_eq!(fault, OrderFault::DisabledSignedIn { person: "olga".to_owned() });
        accounts.person(&person("olga", 5, PersonStep::Enabled)).unwrap();
        accounts.session(&session(Some("olga"), Some(6), SessionStep::SignedIn)).unwrap();
    }
}

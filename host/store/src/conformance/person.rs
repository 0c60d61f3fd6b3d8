//! Accounts, and what proves them.

use std::sync::Arc;

use portreeve_model::{Digest, PersonName};

use super::fixture::{ALL, NOW, leaf, leaves, observe};
use super::{Fault, Maker};
use crate::contract::{
    CredentialKind, KEYS_MAX, NewCredential, NewPersonChange, PasswordHash, Person, PersonChange, SESSIONS_MAX, Store,
    StoreError,
};

/// How long a session lasts here.
const SESSION_MS: i64 = 1_000;

fn name(text: &str) -> PersonName {
    PersonName::parse(text).unwrap()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(format!("$argon2id${text}"))
}

fn digest(number: u64) -> Digest {
    Digest::of(format!("token {number}").as_bytes())
}

fn token(number: u64, expires: bool) -> NewCredential {
    let expires_at = expires.then(|| NOW.plus_ms(SESSION_MS));
    NewCredential { digest: digest(number), label: (!expires).then(|| format!("key {number}")), expires_at }
}

/// A key that does not expire.
pub(super) fn key(number: u64) -> NewCredential {
    token(number, false)
}

/// A change by `root` of an account as it is now.
pub(crate) fn change(who: &str, after: u64, change: PersonChange, number: u64) -> NewPersonChange {
    NewPersonChange { name: name(who), after, change, who: "root".to_owned(), at: NOW, leaf: leaf(number) }
}

pub(crate) fn add(roles: &[&str], first: bool) -> PersonChange {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    PersonChange::Add { email: Some("anna@acme.example".to_owned()), password: Some(hash("one")), roles, first }
}

fn administer() -> Vec<String> {
    vec!["administrator".to_owned()]
}

fn sign_in(number: u64) -> PersonChange {
    PersonChange::SignIn { session: token(number, true), verified: hash("one") }
}

async fn person(store: &Arc<dyn Store>, who: &str) -> Person {
    store.person(&name(who)).await.unwrap().unwrap()
}

/// Changes an account as it is now.
async fn apply(store: &Arc<dyn Store>, who: &str, what: PersonChange, number: u64) -> Result<(), StoreError> {
    let after = person(store, who).await.changes;
    store.change_person(change(who, after, what, number)).await
}

/// Two accounts, `root` which administers and `anna`; two leaves.
async fn two(store: &Arc<dyn Store>) {
    store.change_person(change("root", 0, add(&["administrator"], true), 1)).await.unwrap();
    store.change_person(change("anna", 0, add(&["viewer", "order-desk"], false), 2)).await.unwrap();
}

/// Numbers of an account's tokens that count, by kind.
async fn live(store: &Arc<dyn Store>, who: &str, kind: CredentialKind) -> usize {
    let people = store.people(None, ALL).await.unwrap();
    let view = people.into_iter().find(|view| view.person.name == name(who)).unwrap();
    view.credentials.iter().filter(|one| one.kind == kind).count()
}

pub(crate) async fn an_account_is_there_after_a_reopening_with_what_proves_it(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    apply(&store, "anna", sign_in(1), 3).await.unwrap();
    apply(&store, "anna", PersonChange::AddKey(token(2, false)), 4).await.unwrap();
    let before = observe(&store).await;
    drop(store);

    let store = maker.open().await;
    assert_eq!(observe(&store).await, before);
    let anna = person(&store, "anna").await;
    assert_eq!(
        (anna.roles.join(" "), anna.changes, anna.made_by.as_str()),
        ("viewer order-desk".to_owned(), 3, "root")
    );
    assert_eq!((anna.email.as_deref(), anna.password), (Some("anna@acme.example"), Some(hash("one"))));
    for (number, kind, label) in [(1, CredentialKind::Session, None), (2, CredentialKind::Key, Some("key 2"))] {
        let shown = store.presented(digest(number)).await.unwrap().unwrap();
        assert_eq!((shown.credential.kind, shown.credential.label.as_deref()), (kind, label));
        assert_eq!((shown.person.name, shown.credential.ended_at), (name("anna"), None));
        assert_eq!(shown.credential.expires_at.is_some(), kind == CredentialKind::Session);
    }
    assert!(store.presented(digest(3)).await.unwrap().is_none());
    assert_eq!(leaves(&store).await.len(), 4);
}

pub(crate) async fn of_two_changes_of_an_account_the_first_counts(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    two(&one).await;
    let seen = person(&one, "anna").await.changes;
    one.change_person(change("anna", seen, PersonChange::SetPassword(hash("two")), 3)).await.unwrap();
    let late = other.change_person(change("anna", seen, PersonChange::Enable, 4)).await;
    assert!(matches!(late, Err(StoreError::PersonMoved(_))), "{late:?}");
    let unknown = other.change_person(change("nobody", 0, PersonChange::Enable, 5)).await;
    assert!(matches!(unknown, Err(StoreError::UnknownPerson(_))), "{unknown:?}");
    let twice = other.change_person(change("anna", 0, add(&[], false), 6)).await;
    assert!(matches!(twice, Err(StoreError::PersonExists(_))), "{twice:?}");
    let first = other.change_person(change("eve", 0, add(&["administrator"], true), 7)).await;
    assert!(matches!(first, Err(StoreError::NotTheFirstPerson)), "{first:?}");
    assert_eq!(leaves(&one).await, [1, 2, 3].map(|number| leaf(number).id().short()), "what failed has no leaf");
}

pub(crate) async fn what_is_taken_away_ends_what_came_of_it(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    let viewer = || PersonChange::SetRoles { roles: vec!["viewer".to_owned()], administer: administer() };
    // What happens, and how many sessions and keys of two and one are left.
    for (base, what, sessions, keys) in [
        (10, PersonChange::SetPassword(hash("two")), 0, 1),
        (20, viewer(), 0, 1),
        (30, PersonChange::Disable { administer: administer() }, 0, 0),
        (40, PersonChange::EndCredentials, 0, 0),
        (50, PersonChange::SignOut(digest(51)), 1, 1),
    ] {
        apply(&store, "anna", PersonChange::Enable, base).await.unwrap();
        apply(&store, "anna", PersonChange::SetPassword(hash("one")), base + 1).await.unwrap();
        apply(&store, "anna", PersonChange::EndCredentials, base + 2).await.unwrap();
        apply(&store, "anna", sign_in(base + 1), base + 3).await.unwrap();
        apply(&store, "anna", sign_in(base + 2), base + 4).await.unwrap();
        apply(&store, "anna", PersonChange::AddKey(token(base + 3, false)), base + 5).await.unwrap();
        let said = format!("{what:?}");
        apply(&store, "anna", what, base + 6).await.unwrap();
        assert_eq!(live(&store, "anna", CredentialKind::Session).await, sessions, "{said}");
        assert_eq!(live(&store, "anna", CredentialKind::Key).await, keys, "{said}");
        let ended = store.presented(digest(base + 1)).await.unwrap().unwrap().credential;
        assert_eq!((ended.ended_at, ended.ended_by.as_deref()), (Some(NOW), Some("root")), "{said}");
    }
    let again = apply(&store, "anna", PersonChange::SignOut(digest(51)), 99).await;
    assert!(matches!(again, Err(StoreError::PersonMoved(_))), "it ended already: {again:?}");
}

pub(crate) async fn the_last_account_that_administers_is_kept(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    let disable = || PersonChange::Disable { administer: administer() };
    let viewer = || PersonChange::SetRoles { roles: vec!["viewer".to_owned()], administer: administer() };
    for (number, what) in [(3, disable()), (4, viewer())] {
        let refused = apply(&store, "root", what, number).await;
        assert!(matches!(refused, Err(StoreError::LastAdministrator(_))), "{refused:?}");
    }
    let administrator = PersonChange::SetRoles { roles: administer(), administer: administer() };
    apply(&store, "anna", administrator, 5).await.unwrap();
    apply(&store, "root", disable(), 6).await.unwrap();
    let refused = apply(&store, "anna", viewer(), 7).await;
    assert!(matches!(refused, Err(StoreError::LastAdministrator(_))), "one that is disabled helps nobody: {refused:?}");
    apply(&store, "root", viewer(), 8).await.unwrap();
    assert_eq!(person(&store, "root").await.disabled_at, Some(NOW));
}

pub(crate) async fn nobody_signs_in_as_an_account_that_is_locked_or_has_changed(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    apply(&store, "anna", PersonChange::Failed { locked_until: None }, 3).await.unwrap();
    assert_eq!(person(&store, "anna").await.failures, 1);
    apply(&store, "anna", sign_in(1), 4).await.unwrap();
    assert_eq!(person(&store, "anna").await.failures, 0);
    let lock = |until_ms| PersonChange::Failed { locked_until: Some(NOW.plus_ms(until_ms)) };
    apply(&store, "anna", lock(1), 5).await.unwrap();
    let locked = apply(&store, "anna", sign_in(2), 6).await;
    assert!(matches!(locked, Err(StoreError::PersonMoved(_))), "{locked:?}");
    apply(&store, "anna", lock(0), 7).await.unwrap();
    apply(&store, "anna", sign_in(2), 8).await.unwrap();
    apply(&store, "anna", lock(1), 9).await.unwrap();
    apply(&store, "anna", PersonChange::SetPassword(hash("two")), 10).await.unwrap();
    let anna = person(&store, "anna").await;
    assert_eq!((anna.locked_until, anna.failures), (None, 0), "a new password ends a lock");
    let other_password = apply(&store, "anna", sign_in(3), 11).await;
    assert!(matches!(other_password, Err(StoreError::PersonMoved(_))), "{other_password:?}");
    apply(&store, "anna", PersonChange::Disable { administer: administer() }, 12).await.unwrap();
    let session = PersonChange::SignIn { session: token(4, true), verified: hash("two") };
    let disabled = apply(&store, "anna", session, 13).await;
    assert!(matches!(disabled, Err(StoreError::PersonMoved(_))), "{disabled:?}");
    let key = apply(&store, "anna", PersonChange::AddKey(token(5, false)), 14).await;
    assert!(matches!(key, Err(StoreError::PersonDisabled(_))), "{key:?}");
}

pub(crate) async fn sessions_and_keys_of_an_account_are_so_many_and_no_more(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    let (sessions, keys) = (u64::from(SESSIONS_MAX), u64::from(KEYS_MAX));
    for number in 0..sessions + 2 {
        let session = NewCredential { digest: digest(number), label: None, expires_at: None };
        let what = PersonChange::SignIn { session, verified: hash("one") };
        let after = person(&store, "anna").await.changes;
        let at = NOW.plus_ms(i64::try_from(number).unwrap());
        store.change_person(NewPersonChange { at, ..change("anna", after, what, 100 + number) }).await.unwrap();
    }
    assert_eq!(live(&store, "anna", CredentialKind::Session).await, usize::try_from(sessions).unwrap());
    assert!(store.presented(digest(0)).await.unwrap().is_none(), "the oldest makes room");
    assert!(store.presented(digest(1)).await.unwrap().is_none());
    for number in 0..keys {
        apply(&store, "anna", PersonChange::AddKey(token(500 + number, false)), 500 + number).await.unwrap();
    }
    let one_more = apply(&store, "anna", PersonChange::AddKey(token(999, false)), 999).await;
    assert!(matches!(one_more, Err(StoreError::TooManyKeys { most: KEYS_MAX, .. })), "{one_more:?}");
    // What is over goes with the next sign-in.
    apply(&store, "anna", PersonChange::EndCredentials, 1_000).await.unwrap();
    apply(&store, "anna", sign_in(1_001), 1_001).await.unwrap();
    assert!(store.presented(digest(sessions)).await.unwrap().is_none());
    assert!(store.presented(digest(500)).await.unwrap().unwrap().credential.ended_at.is_some(), "keys stay known");
}

pub(crate) async fn when_a_token_was_last_shown_never_goes_back(maker: impl Maker) {
    let store = maker.open().await;
    two(&store).await;
    apply(&store, "anna", sign_in(1), 3).await.unwrap();
    for (after_ms, expected_ms) in [(5, 5), (3, 5)] {
        store.credential_used(digest(1), NOW.plus_ms(after_ms)).await.unwrap();
        let shown = store.presented(digest(1)).await.unwrap().unwrap().credential;
        assert_eq!(shown.last_used_at, NOW.plus_ms(expected_ms));
    }
    store.credential_used(digest(2), NOW).await.unwrap();
    apply(&store, "anna", PersonChange::EndCredentials, 4).await.unwrap();
    store.credential_used(digest(1), NOW.plus_ms(9)).await.unwrap();
    assert_eq!(store.presented(digest(1)).await.unwrap().unwrap().credential.last_used_at, NOW.plus_ms(5));
}

pub(crate) async fn accounts_are_paged_by_their_names(maker: impl Maker) {
    let store = maker.open().await;
    store.change_person(change("m.x", 0, add(&["administrator"], true), 1)).await.unwrap();
    for (number, who) in [(2, "z"), (3, "a"), (4, "m-x")] {
        store.change_person(change(who, 0, add(&[], false), number)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    while let Some(view) = store.people(after.as_ref(), 1).await.unwrap().pop() {
        seen.push(view.person.name.to_string());
        after = Some(view.person.name);
    }
    assert_eq!(seen, ["a", "m-x", "m.x", "z"]);
    assert!(store.person(&name("nobody")).await.unwrap().is_none());
}

pub(crate) async fn each_change_of_an_account_survives_both_faults<M: Maker>(_: M) {
    let changes: [fn() -> PersonChange; 9] = [
        || PersonChange::SetRoles { roles: vec!["viewer".to_owned()], administer: administer() },
        || PersonChange::SetPassword(hash("two")),
        || PersonChange::Disable { administer: administer() },
        || PersonChange::Enable,
        || PersonChange::AddKey(token(7, false)),
        || PersonChange::EndCredentials,
        || sign_in(7),
        || PersonChange::SignOut(digest(1)),
        || PersonChange::Failed { locked_until: Some(NOW.plus_ms(1)) },
    ];
    for make in changes {
        for fault in [Fault::NotPersisted, Fault::Persisted] {
            let maker = M::new();
            let store = maker.open().await;
            two(&store).await;
            apply(&store, "anna", sign_in(1), 3).await.unwrap();
            let (before, after) = (observe(&store).await, person(&store, "anna").await.changes);
            maker.fail_next_commit(Some(fault));
            store.change_person(change("anna", after, make(), 4)).await.unwrap_err();
            drop(store);
            let store = maker.open().await;
            let persisted = observe(&store).await != before;
            assert_eq!(persisted, fault == Fault::Persisted, "{:?}, {fault:?}", make());
            store.change_person(change("anna", after, make(), 4)).await.unwrap();
            let repeated = observe(&store).await;
            store.change_person(change("anna", after, make(), 4)).await.unwrap();
            assert_eq!(observe(&store).await, repeated, "{:?}, repeated", make());
            assert_eq!(person(&store, "anna").await.changes, after + 1);
        }
    }
}

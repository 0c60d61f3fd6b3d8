//! Passwords: hashed with argon2id, never on a thread that others wait for.
//!
//! One hashing takes 19 MiB and some tens of milliseconds of a core: OWASP's parameters
//! (m = 19456 KiB, t = 2, p = 1), and the attack that they invite. So two run at once, eight
//! wait, and whoever comes then hears that the host is busy.

use std::sync::Arc;

use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use portreeve_store::StoreError;
use portreeve_store::contract::PasswordHash;
use tokio::sync::Semaphore;

use super::SignInError;

/// Shorter ones are guessed.
pub const PASSWORD_BYTES_MIN: usize = 12;

/// Longer ones are not better, and a sentence fits.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// KiB of memory, passes and lanes of one hashing; see the module's description.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// One of two cores stays with orders, and 38 MiB are what a flood of sign-ins gets.
const AT_ONCE: usize = 2;

/// Those that wait: half a second's work.
const WAITING_MAX: usize = 8;

/// What passwords are compared with where there is no account.
const NOBODYS_SALT: &[u8; 16] = b"nobody-has-this!";

/// Hashing, and its limits.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Places for those that hash and those that wait.
    places: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE.saturating_add(WAITING_MAX)));
        Self { places, hashing: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// Hashes a password under a salt of its own.
    pub(super) async fn hash(&self, password: &str) -> Result<PasswordHash, SignInError> {
        let password = password.to_owned();
        self.apart(move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| SignInError::Host(error.to_string()))?;
            let phc = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(host)?;
            Ok(PasswordHash::new(phc.to_string()))
        })
        .await?
    }

    /// Whether a password fits, which none does where there is no account. Both take the
    /// same time.
    pub(super) async fn fits(&self, password: &str, hash: Option<&PasswordHash>) -> Result<bool, SignInError> {
        // None that is longer was ever set; without this, long ones would cost more.
        let mut password = password.to_owned();
        let too_long = password.len() > PASSWORD_BYTES_MAX;
        if too_long {
            password.clear();
        }
        let hash = hash.cloned();
        self.apart(move || {
            let Some(hash) = hash else {
                argon2()?.hash_password_with_salt(password.as_bytes(), NOBODYS_SALT).map_err(host)?;
                return Ok(false);
            };
            match argon2()?.verify_password(password.as_bytes(), hash.as_str()) {
                Ok(()) => Ok(!too_long),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(StoreError::Damaged(format!("a password's hash cannot be read: {error}")).into()),
            }
        })
        .await?
    }

    /// Runs it on a thread for blocking work, when there is room. It keeps its place to its
    /// end, also when whoever asked hangs up: otherwise hanging up would make room for more.
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, SignInError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| SignInError::Busy)?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await;
        let turn = turn.map_err(|error| SignInError::Host(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((place, turn));
            done
        });
        done.await.map_err(|error| SignInError::Host(error.to_string()))
    }
}

fn argon2() -> Result<Argon2<'static>, SignInError> {
    let (memory_kib, passes, lanes) = COST;
    let params = Params::new(memory_kib, passes, lanes, None).map_err(|error| SignInError::Host(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn host(error: Error) -> SignInError {
    SignInError::Host(error.to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let passwords = Passwords::default();
        let (one, again) =
            (passwords.hash("correct horse").await.unwrap(), passwords.hash("correct horse").await.unwrap());
        assert!(one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.as_str());
        assert_ne!(one, again, "each has a salt of its own");
        assert!(!format!("{one:?}").contains("argon2"));
        for (password, fits) in
            [("correct horse", true), ("correct horsf", false), ("", false), (&"x".repeat(9_999), false)]
        {
            assert_eq!(passwords.fits(password, Some(&one)).await.unwrap(), fits, "{}", password.len());
            assert!(!passwords.fits(password, None).await.unwrap());
        }
        let damaged = passwords.fits("correct horse", Some(&PasswordHash::new("nonsense".to_owned()))).await;
        assert!(matches!(damaged, Err(SignInError::Store(StoreError::Damaged(_)))));
    }

    #[tokio::test]
    async fn of_a_flood_some_wait_and_the_others_are_told_at_once() {
        let passwords = Arc::new(Passwords::default());
        let asked = (0..64).map(|_| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.fits("correct horse", None).await })
        });
        let mut busy = 0;
        for answer in asked.collect::<Vec<_>>() {
            match answer.await.unwrap() {
                Ok(false) => {}
                Err(SignInError::Busy) => busy += 1,
                other => unreachable!("{other:?}"),
            }
        }
        assert!((1..=64 - AT_ONCE - WAITING_MAX).contains(&busy), "{busy} of 64");
        assert!(!passwords.fits("correct horse", None).await.unwrap(), "there is room again");
    }
}

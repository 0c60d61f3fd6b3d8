//! Accounts, and what proves them.
//!
//! INVARIANT: each change is of the account as its maker saw it, and commits with its leaf.
//! What a change ends (sessions of an old password, keys of a disabled account) ends in the
//! same transaction: nobody acts by what was taken away.

use portreeve_model::{Digest, Instant, PersonName};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::failed;
use super::rows::{self, Result, damaged, unsigned};
use crate::contract::{
    Credential, CredentialKind, KEYS_MAX, NewCredential, NewPersonChange, PasswordHash, Person, PersonChange,
    PersonView, Presented, SESSIONS_MAX, StoreError,
};

const PERSON: &str = "person.name, person.email, person.password, person.roles, person.made_at, person.made_by,
     person.disabled_at, person.failures, person.locked_until, person.changes";

const CREDENTIAL: &str = "credential.digest, credential.person, credential.kind, credential.label,
     credential.made_at, credential.expires_at, credential.last_used_at, credential.ended_at, credential.ended_by";

/// How many columns [`CREDENTIAL`] names.
const CREDENTIAL_COLUMNS: usize = 9;

pub(super) fn change(tx: &Connection, new: &NewPersonChange) -> Result<()> {
    let NewPersonChange { name, after, change, who, at, leaf } = new;
    if rows::leaf_known(tx, leaf)? {
        return Ok(());
    }
    if let PersonChange::Add { email, password, roles, first } = change {
        add(tx, new, email.as_deref(), password.as_ref(), roles, *first)?;
    } else {
        moved_on(tx, name, *after)?;
    }
    match change {
        PersonChange::Add { .. } => {}
        PersonChange::SetRoles { roles, administer } => {
            if !roles.iter().any(|role| administer.contains(role)) {
                another_administers(tx, name, administer)?;
            }
            update(tx, "UPDATE person SET roles = ?2 WHERE name = ?1", params![name.as_str(), lines(roles)])?;
            end(tx, name, Some(CredentialKind::Session), *at, who)?;
        }
        PersonChange::SetPassword(password) => {
            let set = "UPDATE person SET password = ?2, failures = 0, locked_until = NULL WHERE name = ?1";
            update(tx, set, params![name.as_str(), password.as_str()])?;
            end(tx, name, Some(CredentialKind::Session), *at, who)?;
        }
        PersonChange::Disable { administer } => {
            another_administers(tx, name, administer)?;
            let disable = "UPDATE person SET disabled_at = coalesce(disabled_at, ?2) WHERE name = ?1";
            update(tx, disable, params![name.as_str(), at.0])?;
            end(tx, name, None, *at, who)?;
        }
        PersonChange::Enable => {
            let enable = "UPDATE person SET disabled_at = NULL, failures = 0, locked_until = NULL WHERE name = ?1";
            update(tx, enable, [name.as_str()])?;
        }
        PersonChange::AddKey(key) => add_key(tx, name, key, *at)?,
        PersonChange::EndCredentials => end(tx, name, None, *at, who)?,
        PersonChange::SignIn { session, verified } => sign_in(tx, name, session, verified, *at)?,
        PersonChange::SignOut(digest) => sign_out(tx, name, *digest, *at, who)?,
        PersonChange::Failed { locked_until } => {
            let fail = "UPDATE person SET failures = min(failures + 1, 4294967295),
                          locked_until = coalesce(?2, locked_until) WHERE name = ?1";
            update(tx, fail, params![name.as_str(), locked_until.map(|until| until.0)])?;
        }
    }
    rows::insert_leaf_alone(tx, leaf).map(drop)
}

fn add(
    tx: &Connection,
    new: &NewPersonChange,
    email: Option<&str>,
    password: Option<&PasswordHash>,
    roles: &[String],
    first: bool,
) -> Result<()> {
    let NewPersonChange { name, who, at, .. } = new;
    let others =
        tx.prepare_cached("SELECT 1 FROM person LIMIT 1").and_then(|mut others| others.exists([])).map_err(failed)?;
    if first && others {
        return Err(StoreError::NotTheFirstPerson);
    }
    if one(tx, name)?.is_some() {
        return Err(StoreError::PersonExists(name.clone()));
    }
    update(
        tx,
        "INSERT INTO person (name, email, password, roles, made_at, made_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![name.as_str(), email, password.map(PasswordHash::as_str), lines(roles), at.0, who],
    )
}

/// Check: nothing happened to the account since its maker looked at it. Then its change is
/// counted.
fn moved_on(tx: &Connection, name: &PersonName, after: u64) -> Result<()> {
    let found = tx
        .prepare_cached("SELECT changes FROM person WHERE name = ?1")
        .and_then(|mut changes| changes.query_row([name.as_str()], |row| row.get(0)).optional())
        .map_err(failed)?;
    match found {
        None => Err(StoreError::UnknownPerson(name.clone())),
        Some(found) if unsigned(found)? != after => Err(StoreError::PersonMoved(name.clone())),
        Some(_) => update(tx, "UPDATE person SET changes = changes + 1 WHERE name = ?1", [name.as_str()]),
    }
}

/// Check: without this account, too, somebody can make and change accounts.
fn another_administers(tx: &Connection, name: &PersonName, administer: &[String]) -> Result<()> {
    let this = one(tx, name)?.ok_or_else(|| StoreError::UnknownPerson(name.clone()))?;
    let administers = |person: &Person| person.roles.iter().any(|role| administer.contains(role));
    if this.disabled_at.is_some() || !administers(&this) {
        return Ok(());
    }
    let enabled = people(tx, "person.disabled_at IS NULL AND person.name <> ?1", [name.as_str()])?;
    if enabled.iter().any(administers) { Ok(()) } else { Err(StoreError::LastAdministrator(name.clone())) }
}

fn add_key(tx: &Connection, name: &PersonName, key: &NewCredential, at: Instant) -> Result<()> {
    let person = one(tx, name)?.ok_or_else(|| StoreError::UnknownPerson(name.clone()))?;
    if person.disabled_at.is_some() {
        return Err(StoreError::PersonDisabled(name.clone()));
    }
    let keys = credentials(tx, name)?.iter().filter(|one| one.kind == CredentialKind::Key).count();
    if u32::try_from(keys).is_ok_and(|keys| keys < KEYS_MAX) {
        return insert(tx, name, CredentialKind::Key, key, at);
    }
    Err(StoreError::TooManyKeys { name: name.clone(), most: KEYS_MAX })
}

/// Check: the account is still the one that the password was compared with.
fn sign_in(
    tx: &Connection,
    name: &PersonName,
    session: &NewCredential,
    verified: &PasswordHash,
    at: Instant,
) -> Result<()> {
    let person = one(tx, name)?.ok_or_else(|| StoreError::UnknownPerson(name.clone()))?;
    let locked = person.locked_until.is_some_and(|until| until > at);
    if locked || person.disabled_at.is_some() || person.password.as_ref() != Some(verified) {
        return Err(StoreError::PersonMoved(name.clone()));
    }
    update(tx, "UPDATE person SET failures = 0, locked_until = NULL WHERE name = ?1", [name.as_str()])?;
    // What is over is in the log; here it would only grow.
    let over = "DELETE FROM credential WHERE person = ?1 AND kind = 'session' AND (ended_at IS NOT NULL OR
                  expires_at <= ?2 OR digest IN (SELECT digest FROM credential WHERE person = ?1 AND kind = 'session'
                    AND ended_at IS NULL ORDER BY made_at DESC, digest LIMIT -1 OFFSET ?3))";
    update(tx, over, params![name.as_str(), at.0, SESSIONS_MAX.saturating_sub(1)])?;
    insert(tx, name, CredentialKind::Session, session, at)
}

fn sign_out(tx: &Connection, name: &PersonName, digest: Digest, at: Instant, who: &str) -> Result<()> {
    let ended = tx
        .prepare_cached(
            "UPDATE credential SET ended_at = ?3, ended_by = ?4
             WHERE digest = ?1 AND person = ?2 AND kind = 'session' AND ended_at IS NULL",
        )
        .and_then(|mut end| end.execute(params![digest.as_bytes(), name.as_str(), at.0, who]))
        .map_err(failed)?;
    if ended == 1 { Ok(()) } else { Err(StoreError::PersonMoved(name.clone())) }
}

/// Ends sessions, or keys as well.
fn end(tx: &Connection, name: &PersonName, only: Option<CredentialKind>, at: Instant, who: &str) -> Result<()> {
    update(
        tx,
        "UPDATE credential SET ended_at = ?2, ended_by = ?3
         WHERE person = ?1 AND ended_at IS NULL AND kind = coalesce(?4, kind)",
        params![name.as_str(), at.0, who, only.map(CredentialKind::as_str)],
    )
}

fn insert(tx: &Connection, name: &PersonName, kind: CredentialKind, new: &NewCredential, at: Instant) -> Result<()> {
    let NewCredential { digest, label, expires_at } = new;
    update(
        tx,
        "INSERT INTO credential (digest, person, kind, label, made_at, expires_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
        params![digest.as_bytes(), name.as_str(), kind.as_str(), label, at.0, expires_at.map(|at| at.0)],
    )
}

fn update(tx: &Connection, statement: &'static str, parameters: impl Params) -> Result<()> {
    tx.prepare_cached(statement).and_then(|mut update| update.execute(parameters)).map_err(failed)?;
    Ok(())
}

pub(super) fn used(tx: &Connection, digest: Digest, at: Instant) -> Result<()> {
    let used = "UPDATE credential SET last_used_at = max(last_used_at, ?2) WHERE digest = ?1 AND ended_at IS NULL";
    update(tx, used, params![digest.as_bytes(), at.0])
}

pub(super) fn one(connection: &Connection, name: &PersonName) -> Result<Option<Person>> {
    Ok(people(connection, "person.name = ?1", [name.as_str()])?.pop())
}

pub(super) fn list(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<PersonView>> {
    let page = people(
        connection,
        "person.name > ?1 ORDER BY person.name LIMIT ?2",
        params![after.unwrap_or_default(), limit],
    )?;
    let view = |person: Person| Ok(PersonView { credentials: credentials(connection, &person.name)?, person });
    page.into_iter().map(view).collect()
}

fn people(connection: &Connection, which: &'static str, parameters: impl Params) -> Result<Vec<Person>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {PERSON} FROM person WHERE {which}")).map_err(failed)?;
    let mut found = statement.query(parameters).map_err(failed)?;
    let mut people = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        people.push(person(row, 0)?);
    }
    Ok(people)
}

/// Those of an account that did not end, oldest first.
fn credentials(connection: &Connection, name: &PersonName) -> Result<Vec<Credential>> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {CREDENTIAL} FROM credential WHERE person = ?1 AND ended_at IS NULL ORDER BY made_at, digest"
        ))
        .map_err(failed)?;
    let mut found = statement.query([name.as_str()]).map_err(failed)?;
    let mut credentials = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        credentials.push(credential(row)?);
    }
    Ok(credentials)
}

pub(super) fn presented(connection: &Connection, digest: Digest) -> Result<Option<Presented>> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {CREDENTIAL}, {PERSON} FROM credential JOIN person ON person.name = credential.person
             WHERE credential.digest = ?1"
        ))
        .map_err(failed)?;
    let mut found = statement.query([digest.as_bytes()]).map_err(failed)?;
    match found.next().map_err(failed)? {
        Some(row) => Ok(Some(Presented { credential: credential(row)?, person: person(row, CREDENTIAL_COLUMNS)? })),
        None => Ok(None),
    }
}

fn person(row: &Row<'_>, first: usize) -> Result<Person> {
    let at = |column: usize| first.saturating_add(column);
    let name: String = row.get(at(0)).map_err(failed)?;
    let roles: String = row.get(at(3)).map_err(failed)?;
    Ok(Person {
        name: named(&name)?,
        email: row.get(at(1)).map_err(failed)?,
        password: row.get::<_, Option<String>>(at(2)).map_err(failed)?.map(PasswordHash::new),
        roles: roles.lines().map(str::to_owned).collect(),
        made_at: Instant(row.get(at(4)).map_err(failed)?),
        made_by: row.get(at(5)).map_err(failed)?,
        disabled_at: row.get::<_, Option<i64>>(at(6)).map_err(failed)?.map(Instant),
        failures: row.get(at(7)).map_err(failed)?,
        locked_until: row.get::<_, Option<i64>>(at(8)).map_err(failed)?.map(Instant),
        changes: unsigned(row.get(at(9)).map_err(failed)?)?,
    })
}

fn credential(row: &Row<'_>) -> Result<Credential> {
    let name: String = row.get(1).map_err(failed)?;
    let kind: String = row.get(2).map_err(failed)?;
    Ok(Credential {
        digest: rows::digest(row, 0).map_err(failed)?,
        person: named(&name)?,
        kind: CredentialKind::parse(&kind).ok_or_else(|| damaged("what a token is", &kind))?,
        label: row.get(3).map_err(failed)?,
        made_at: Instant(row.get(4).map_err(failed)?),
        expires_at: row.get::<_, Option<i64>>(5).map_err(failed)?.map(Instant),
        last_used_at: Instant(row.get(6).map_err(failed)?),
        ended_at: row.get::<_, Option<i64>>(7).map_err(failed)?.map(Instant),
        ended_by: row.get(8).map_err(failed)?,
    })
}

fn named(name: &str) -> Result<PersonName> {
    PersonName::parse(name).map_err(|error| damaged("an account's name", &error))
}

fn lines(roles: &[String]) -> String {
    roles.join("\n")
}

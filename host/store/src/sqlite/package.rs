//! Packages of plugins: taken in, staged, and the versions of the configuration that
//! make one active.

use portreeve_model::{Digest, Instant, PluginName};
use portreeve_record::Leaf;
use rusqlite::{Connection, Params, params};

use super::rows::{self, Result, damaged};
use super::{failed, operation, pause};
use crate::contract::{NewPackage, PackageChange, PackageView, StoreError};

pub(super) fn change(tx: &Connection, change: &PackageChange, at: Instant, leaves: &[Leaf]) -> Result<()> {
    let (first, others) =
        leaves.split_first().ok_or_else(|| StoreError::Failed("a change of packages came without a leaf".into()))?;
    if rows::leaf_known(tx, first)? {
        return Ok(());
    }
    let leaf = rows::insert_leaf_alone(tx, first)?;
    operation::enter(tx, leaf, at)?;
    match change {
        PackageChange::Install(package) => install(tx, package, at)?,
        PackageChange::Stage { digest, grant } => stage(tx, *digest, grant.as_deref(), at)?,
        PackageChange::Configure { after, bytes, unstage, anew } => {
            rows::next_configuration(tx, *after, bytes, at)?;
            if let Some(plugin) = unstage {
                end_staging(tx, "plugin = ?1", [plugin.as_str()])?;
            }
            if let Some(plugin) = anew {
                pause::end_all(tx, plugin, at, leaf)?;
            }
        }
        PackageChange::Paused(new) => pause::begin(tx, new, at, leaf)?,
        PackageChange::Restored { plugin, component, cause } => {
            pause::end(tx, plugin, *component, cause.as_deref(), at, leaf)?;
        }
        PackageChange::Note => {}
    }
    others.iter().try_for_each(|leaf| operation::enter(tx, rows::insert_leaf(tx, leaf)?, at))
}

fn install(tx: &Connection, package: &NewPackage, at: Instant) -> Result<()> {
    let NewPackage { digest, plugin, version, kind, publisher } = package;
    tx.prepare_cached(
        "INSERT INTO package (digest, plugin, version, kind, publisher, installed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (digest) DO NOTHING",
    )
    .and_then(|mut insert| insert.execute(params![digest.as_bytes(), plugin.as_str(), version, kind, publisher, at.0]))
    .map_err(failed)?;
    Ok(())
}

fn stage(tx: &Connection, digest: Digest, grant: Option<&str>, at: Instant) -> Result<()> {
    end_staging(tx, "plugin = (SELECT plugin FROM package WHERE digest = ?1)", [digest.as_bytes()])?;
    let staged = tx
        .prepare_cached("UPDATE package SET staged_at = ?2, staged_grant = ?3 WHERE digest = ?1")
        .and_then(|mut update| update.execute(params![digest.as_bytes(), at.0, grant]))
        .map_err(failed)?;
    if staged == 0 { Err(StoreError::UnknownPackage(digest)) } else { Ok(()) }
}

pub(super) fn unstage_all(tx: &Connection) -> Result<()> {
    end_staging(tx, "TRUE", [])
}

fn end_staging(tx: &Connection, which: &'static str, parameters: impl Params) -> Result<()> {
    let statement =
        format!("UPDATE package SET staged_at = NULL, staged_grant = NULL WHERE staged_at IS NOT NULL AND {which}");
    tx.prepare_cached(&statement).and_then(|mut update| update.execute(parameters)).map_err(failed)?;
    Ok(())
}

pub(super) fn list(connection: &Connection) -> Result<Vec<PackageView>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT digest, plugin, version, kind, publisher, installed_at, staged_at, staged_grant
             FROM package ORDER BY plugin, installed_at, digest",
        )
        .map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut packages = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let plugin: String = row.get(1).map_err(failed)?;
        packages.push(PackageView {
            package: NewPackage {
                digest: rows::digest(row, 0).map_err(failed)?,
                plugin: PluginName::parse(&plugin).map_err(|error| damaged("a plugin's name", &error))?,
                version: row.get(2).map_err(failed)?,
                kind: row.get(3).map_err(failed)?,
                publisher: row.get(4).map_err(failed)?,
            },
            installed_at: Instant(row.get(5).map_err(failed)?),
            staged_at: row.get::<_, Option<i64>>(6).map_err(failed)?.map(Instant),
            grant: row.get(7).map_err(failed)?,
        });
    }
    Ok(packages)
}

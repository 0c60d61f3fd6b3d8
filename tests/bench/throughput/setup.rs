//! The demo's configuration for this machine: five hundred customers, all scorers,
//! no grants. Advice is asked for and recorded, but nothing is held, so that every
//! order goes the whole way.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use portreeve::clock::SystemClock;
use portreeve::source_tree::SourceTree;
use portreeve_build::BuildOptions;
use portreeve_model::Digest;
use portreeve_pipeline::Clock;

/// What the load generator shows at the door.
pub(crate) const EDI_TOKEN: &str = "a-token-for-the-benchmark-only";
/// Where the configuration lies in the run's folder.
pub(crate) const CONFIG: &str = "config";
/// Customers who order in turns.
pub(crate) const CUSTOMERS: u32 = 500;

/// A customer's number.
pub(crate) fn customer(index: u32) -> String {
    format!("C-{:04}", 3_000 + index % CUSTOMERS)
}

/// An item whose list price is hardly above its floor; see `load::NEAR_FLOOR`.
const NEAR_FLOOR_ITEM: &str = "MRG-0001,Hex bolt M8x45 zinc,BX,USD,18.40,11.59,18.30\n";
const NEAR_FLOOR_STOCK: &str = "MRG-0001,DC-COLUMBUS,650,2,US,0\n";

/// The demo's data grants without its grants: the scorers see what they see there.
fn shown_to_scorers(demo: &Path) -> anyhow::Result<String> {
    let grants = std::fs::read_to_string(demo.join("grants.toml"))?;
    let data = grants.find("[[data]]").and_then(|at| grants.get(at..)).context("the demo shows its scorers nothing")?;
    Ok(data.to_owned())
}

/// Writes it; without budgets no grant is there, and nobody looks at credit.
pub(crate) fn write(folder: &Path, erp_origin: &str, without_budgets: bool) -> anyhow::Result<()> {
    let tree = SourceTree::find_from(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let options = BuildOptions { target_dir: &tree.target().join("guests"), offline: false, progress: &|_| {} };
    let plugins = portreeve_build::build(&tree.plugins()?, &options)?;
    let config = folder.join(CONFIG);
    std::fs::create_dir_all(config.join("reference"))?;
    portreeve::demo::publish(&tree, &plugins, &config, &folder.join("publisher.key"))?;
    let from = tree.demo();
    for file in ["policies.cedar", "people.toml"] {
        std::fs::copy(from.join(file), config.join(file))?;
    }
    let mut rules = std::fs::read_to_string(from.join("rules.toml"))?;
    if without_budgets {
        rules = rules.replace("[rules.credit]\ncheck = true", "[rules.credit]\ncheck = false");
    }
    std::fs::write(config.join("rules.toml"), rules)?;
    for entry in std::fs::read_dir(from.join("reference"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), config.join("reference").join(entry.file_name()))?;
    }
    let grants =
        if without_budgets { shown_to_scorers(&from)? } else { std::fs::read_to_string(from.join("grants.toml"))? };
    std::fs::write(config.join("grants.toml"), grants)?;
    for (table, row) in [("item", NEAR_FLOOR_ITEM), ("stock", NEAR_FLOOR_STOCK)] {
        let path = config.join(format!("reference/{table}.csv"));
        let mut table = std::fs::read_to_string(&path)?;
        table.push_str(row);
        std::fs::write(path, table)?;
    }

    let customers = std::fs::read_to_string(from.join("reference/customer.csv"))?;
    let mut table = customers.lines().next().context("the demo has no customers")?.to_owned();
    for index in 0..CUSTOMERS {
        let number = customer(index);
        write!(table, "\n{number},Customer {number},priority,false,US,2014-12-19,USD")?;
    }
    std::fs::write(config.join("reference/customer.csv"), table)?;

    let accounts = std::fs::read_to_string(from.join("reference/credit.csv"))?;
    let mut table = accounts.lines().next().context("the demo has no credit accounts")?.to_owned();
    let as_of = SystemClock.now();
    for index in 0..CUSTOMERS {
        write!(table, "\n{},USD,900000000.00,100.00,0.00,0.00,0.00,0,{as_of}", customer(index))?;
    }
    std::fs::write(config.join("reference/credit.csv"), table)?;

    let places = std::fs::read_to_string(from.join("reference/ship-to.csv"))?;
    let mut table = places.lines().next().context("the demo has no places")?.to_owned();
    for index in 0..CUSTOMERS {
        let number = customer(index);
        write!(table, "\n{number}/{number}-01,US")?;
    }
    std::fs::write(config.join("reference/ship-to.csv"), table)?;

    let secret = folder.join("shop.secret");
    std::fs::write(&secret, "a-secret-for-the-benchmark-only")?;
    let host = std::fs::read_to_string(from.join("portreeve.toml"))?
        // As a site sets it whose ERP answers quickly: a delivery mostly waits for commits.
        .replace("attempts_max = 6\n", "attempts_max = 6\ndeliveries_max = 256\n")
        .replace("${ERP_ORIGIN}", erp_origin)
        .replace("${EDI_TOKEN_SHA256}", &Digest::of(EDI_TOKEN.as_bytes()).to_string())
        .replace("${SHOP_SECRET_FILE}", &secret.display().to_string());
    std::fs::write(config.join("portreeve.toml"), host)?;
    Ok(())
}

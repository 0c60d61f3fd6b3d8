//! What a component takes before its first instruction runs: memory, tables, instances.
//!
//! Wasmtime asks for it at every call, as the instances of a component are made one after
//! the other, and a component that begins beyond its limits fails every one. So it is added
//! up from the component's sections, once, before anything is compiled.
//!
//! The sum is never too high: a module that comes out of an import or out of another
//! instance's exports counts as an empty one, and so do the small instances that wasmtime
//! itself puts between two components. A component within this sum may thus still be
//! beyond its limits at a call, which the limits then end; one that is beyond it always is.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, Payload,
};

use crate::limits::Limits;

/// Components and modules in one another. Each level is kept while it is open, and a file
/// has room for millions of them; wasmtime takes fewer.
pub(crate) const NESTING_MAX: usize = 100;

/// Modules and components of one level that can be counted. Wasmtime takes no more.
const PARTS_MAX: usize = 1_000;

/// What a component takes before it does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Bytes of all linear memories together.
    pub memory_bytes: u64,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Core instances.
    pub instances: u64,
}

/// A limit that a component is beyond before it does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it begins with {found} {what}, and its limit `{limit}` is {allowed}; build it to begin with less, or have it ask for more in its manifest and be granted that"
)]
pub struct Beyond {
    /// The limit's key in a manifest and in a grant.
    pub limit: &'static str,
    /// What is counted.
    pub what: &'static str,
    /// What it begins with, at least.
    pub found: u64,
    /// What it may have.
    pub allowed: u64,
}

impl Needs {
    /// Every limit that it is beyond.
    pub fn beyond(self, limits: &Limits) -> impl Iterator<Item = Beyond> + use<> {
        let pairs = [
            ("memory_bytes", "bytes of linear memory", self.memory_bytes, limits.memory_bytes),
            ("table_elements", "elements of tables", self.table_elements, limits.table_elements),
            ("instances", "core instances", self.instances, limits.instances),
        ];
        let beyond = pairs.into_iter().filter(|(.., found, allowed)| found > allowed);
        beyond.map(|(limit, what, found, allowed)| Beyond { limit, what, found, allowed })
    }

    fn add(&mut self, other: Self) {
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.table_elements = self.table_elements.saturating_add(other.table_elements);
        self.instances = self.instances.saturating_add(other.instances);
    }
}

/// An instance of which nothing is known but that it is one.
const UNKNOWN: Needs = Needs { memory_bytes: 0, table_elements: 0, instances: 1 };

/// Adds up while a component's sections go by.
pub(crate) struct Count {
    /// The levels that are open, the outermost first.
    open: Vec<Level>,
}

/// A component, or a module, whose sections go by.
#[derive(Default)]
struct Level {
    is_module: bool,
    /// What one instance of it takes.
    needs: Needs,
    /// What each of its modules and components takes per instance, by its index.
    modules: Vec<Needs>,
    components: Vec<Needs>,
}

impl Count {
    pub(crate) fn new() -> Self {
        Self { open: vec![Level::default()] }
    }

    /// Levels below the outermost.
    pub(crate) fn depth(&self) -> usize {
        self.open.len().saturating_sub(1)
    }

    /// What the component takes, when all of its sections went by.
    pub(crate) fn needs(&self) -> Needs {
        self.open.first().map_or(UNKNOWN, |outermost| outermost.needs)
    }

    /// Looks at one section.
    pub(crate) fn note(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ModuleSection { .. } => {
                self.open.push(Level { is_module: true, needs: UNKNOWN, ..Level::default() })
            }
            Payload::ComponentSection { .. } => self.open.push(Level::default()),
            Payload::End(_) if self.depth() > 0 => self.close(),
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let memory = memory?;
                    let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
                    let memory_bytes = memory.initial.saturating_mul(page);
                    self.add(Needs { memory_bytes, ..Needs::default() });
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    self.add(Needs { table_elements: table?.ty.initial, ..Needs::default() });
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.add(self.module(0, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.add(self.component(0, component_index));
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.push_module(UNKNOWN),
                        ComponentTypeRef::Component(_) => self.push_component(Needs::default()),
                        _ => {}
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentExportSection(section) => {
                // What is exported has one more index from there on.
                for export in section.clone() {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => self.push_module(self.module(0, export.index)),
                        ComponentExternalKind::Component => self.push_component(self.component(0, export.index)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => self.push_module(UNKNOWN),
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                self.push_component(Needs::default());
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                self.push_module(self.module(*count, *index));
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                self.push_component(self.component(*count, *index));
            }
            _ => {}
        }
    }

    /// A level ends, and is one of the parts of the one around it.
    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        if closed.is_module { self.push_module(closed.needs) } else { self.push_component(closed.needs) }
    }

    fn add(&mut self, needs: Needs) {
        if let Some(level) = self.open.last_mut() {
            level.needs.add(needs);
        }
    }

    fn push_module(&mut self, needs: Needs) {
        if let Some(level) = self.open.last_mut().filter(|level| level.modules.len() < PARTS_MAX) {
            level.modules.push(needs);
        }
    }

    fn push_component(&mut self, needs: Needs) {
        if let Some(level) = self.open.last_mut().filter(|level| level.components.len() < PARTS_MAX) {
            level.components.push(needs);
        }
    }

    /// A module by its index, so many levels further out.
    fn module(&self, further_out: u32, index: u32) -> Needs {
        self.level(further_out).and_then(|level| level.modules.get(at(index))).copied().unwrap_or(UNKNOWN)
    }

    fn component(&self, further_out: u32, index: u32) -> Needs {
        self.level(further_out).and_then(|level| level.components.get(at(index))).copied().unwrap_or_default()
    }

    fn level(&self, further_out: u32) -> Option<&Level> {
        self.open.iter().rev().nth(at(further_out))
    }
}

fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::id::PluginKind;

    use super::*;
    use crate::{Sandbox, SandboxOptions, inspect};

    const PAGE: u64 = 65_536;

    fn needs(text: &str) -> Needs {
        let text = format!(r#"(component {text} (@custom "portreeve:manifest" "[plugin]"))"#);
        inspect(&wat::parse_str(text).unwrap()).unwrap().needs
    }

    fn is(memory_pages: u64, table_elements: u64, instances: u64) -> Needs {
        Needs { memory_bytes: memory_pages * PAGE, table_elements, instances }
    }

    #[test]
    fn each_instance_counts_with_what_its_module_defines_and_nothing_that_it_imports() {
        let modules = r#"
            (core module $a (memory 2) (table 7 funcref) (table 1 funcref))
            (core module $b (import "a" "m" (memory 2)) (import "a" "t" (table 7 funcref)) (table 3 externref))"#;
        assert_eq!(needs(modules), is(0, 0, 0), "what is never instantiated takes nothing");
        assert_eq!(needs(&format!("{modules} (core instance (instantiate $a))")), is(2, 8, 1));
        let twice = "(core instance (instantiate $a)) (core instance (instantiate $a))";
        assert_eq!(needs(&format!("{modules} {twice}")), is(4, 16, 2));
        let linked = r#"(core module $a (memory (export "m") 2) (table (export "t") 7 funcref))
            (core module $b (import "a" "m" (memory 2)) (import "a" "t" (table 7 funcref)) (table 3 externref))
            (core instance $i (instantiate $a)) (core instance (instantiate $b (with "a" (instance $i))))"#;
        assert_eq!(needs(linked), is(2, 10, 2));
    }

    #[test]
    fn instances_of_nested_components_count_as_often_as_they_are_made() {
        let inner = "(component $inner (core module $m (memory 3)) (core instance (instantiate $m)) (core instance (instantiate $m)))";
        assert_eq!(needs(inner), is(0, 0, 0));
        assert_eq!(
            needs(&format!("{inner} (instance (instantiate $inner)) (instance (instantiate $inner))")),
            is(12, 0, 4)
        );
        let outer = "(core module $m (memory 1)) (component $c (alias outer 1 $m (core module $n)) (core instance (instantiate $n)))";
        assert_eq!(needs(&format!("{outer} (instance (instantiate $c))")), is(1, 0, 1));
        let deep = "(core module $m (memory 1)) (component $c (component $d (alias outer 2 $m (core module $n)) (core instance (instantiate $n))) (instance (instantiate $d)) (instance (instantiate $d)))";
        assert_eq!(needs(&format!("{deep} (instance (instantiate $c)) (instance (instantiate $c))")), is(4, 0, 4));
        let exported = r#"(core module $m (memory 1)) (export $e "m" (core module $m)) (core module $n (memory 5)) (core instance (instantiate $n))"#;
        assert_eq!(needs(exported), is(5, 0, 1));
    }

    #[test]
    fn what_cannot_be_known_counts_as_an_empty_instance() {
        let imported = r#"(import "m" (core module $m)) (core module $n (memory 2)) (core instance (instantiate $m)) (core instance (instantiate $n))"#;
        assert_eq!(needs(imported), is(2, 0, 2));
        let from_instance = r#"(component $c (core module $m (memory 9)) (export "m" (core module $m))) (instance $i (instantiate $c))
            (alias export $i "m" (core module $m)) (core instance (instantiate $m))"#;
        assert_eq!(needs(from_instance), is(0, 0, 1));
    }

    #[test]
    fn a_sum_beyond_all_bounds_stays_at_the_largest_number() {
        // Each level makes the one within it so many times.
        let mut text = "(component $c0 (core module $m (memory 65536)) (core instance (instantiate $m)))".to_owned();
        for level in 1..40 {
            let below = level - 1;
            let made = format!("(instance (instantiate $c{below}))").repeat(10);
            text = format!("(component $c{level} {text} {made})");
        }
        let needs = needs(&format!("{text} (instance (instantiate $c39))"));
        assert_eq!((needs.memory_bytes, needs.instances), (u64::MAX, u64::MAX));
    }

    #[test]
    fn the_engine_counts_the_same() {
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 1, busy_wait_ms_max: 0 }).unwrap();
        for text in [
            "(core module $a (memory 2) (table 7 funcref)) (core instance (instantiate $a))",
            "(component $inner (core module $m (memory 3)) (core instance (instantiate $m))) (instance (instantiate $inner)) (instance (instantiate $inner))",
            "(core module $m (table 4 funcref)) (component $c (alias outer 1 $m (core module $n)) (core instance (instantiate $n)) (core instance (instantiate $n))) (instance (instantiate $c))",
        ] {
            let bytes = wat::parse_str(format!("(component {text})")).unwrap();
            let code = sandbox.compile(PluginKind::Scorer, &bytes).unwrap();
            let component = code.load(sandbox.engines.pool(PluginKind::Scorer)).unwrap();
            let engine = component.resources_required().unwrap();
            // The engine says how many there are and the largest, which are all alike here.
            let memory = engine.max_initial_memory_size.unwrap_or(0) * u64::from(engine.num_memories) * PAGE;
            let tables = engine.max_initial_table_size.unwrap_or(0) * u64::from(engine.num_tables);
            let counted = needs(text);
            assert_eq!((counted.memory_bytes, counted.table_elements), (memory, tables), "{text}");
        }
    }

    #[test]
    fn every_limit_that_it_is_beyond_is_named_and_none_that_it_just_meets() {
        let limits = Limits { memory_bytes: 10, table_elements: 20, instances: 30, ..Limits::DEFAULT };
        let beyond = |memory_bytes, table_elements, instances| -> Vec<&str> {
            Needs { memory_bytes, table_elements, instances }.beyond(&limits).map(|beyond| beyond.limit).collect()
        };
        assert_eq!(beyond(10, 20, 30), [""; 0]);
        assert_eq!(beyond(11, 20, 30), ["memory_bytes"]);
        assert_eq!(beyond(11, 21, 31), ["memory_bytes", "table_elements", "instances"]);
    }
}

//! What no compiler writes: core modules of text inside the component of a real
//! plugin.
//!
//! The types of our contract are hundreds of lines in a component, and none of them is
//! hostile. So a component that was built from Rust gives its outside, and its one core
//! module gives way to the test's: the start function that spins, the `cabi_realloc`
//! that traps, the string that is no UTF-8. A shell is any component of the kind that
//! imports nothing: `trap`, or `quiet-connector`. The benchmark of limits uses this
//! file, too.

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const CUSTOM: u8 = 0;
const PREAMBLE_BYTES: usize = 8;

/// A core module in parts. What is not named does no harm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Core {
    /// Pages of memory that it begins with.
    pub(crate) pages: u32,
    /// Whatever else is in it: tables, a start function, data.
    pub(crate) extra: &'static str,
    /// How it makes room for its arguments.
    pub(crate) realloc: &'static str,
    /// What a call does; it leaves the address of the result.
    pub(crate) call: &'static str,
    /// What it does after its result was read.
    pub(crate) after: &'static str,
}

/// Takes the next bytes, aligned; `$next` begins behind the first page.
const BUMP: &str = "
    (local $at i32)
    (local.set $at (i32.and
        (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at)";

/// The address of a list of one answer, which begins at 16: `Err(Failure::Permanent(""))`.
const ANSWER: &str = "
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.store8 (i32.const 20) (i32.const 2))
    (i32.const 0)";

/// A core module without an attack.
pub(crate) const HARMLESS: Core = Core { pages: 4, extra: "", realloc: BUMP, call: ANSWER, after: "" };

impl Core {
    fn text(&self, exports: &[&str]) -> String {
        let Self { pages, extra, realloc, call, after } = self;
        let exports: String = exports
            .iter()
            .map(|name| {
                format!(
                    r#"(func (export "{name}") (param i32 i32) (result i32) {call})
                    (func (export "cabi_post_{name}") (param i32) {after})"#
                )
            })
            .collect();
        format!(
            r#"(module
                (memory (export "memory") {pages})
                (global $next (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                {exports}
                {extra})"#
        )
    }

    /// A scorer with this inside, within another scorer's shell.
    pub(crate) fn scorer(&self, shell: &[u8], name: &str, limits: &str) -> Vec<u8> {
        self.inside(shell, &["score"], &manifest(name, "scorer", limits, ""), 0)
    }

    /// A connector with this inside.
    pub(crate) fn connector(&self, shell: &[u8], name: &str, limits: &str) -> Vec<u8> {
        let exports = ["receive", "deliver", "find", "poll", "check"];
        let handles = "[handles]\nreceives = [\"x12/850\"]\n";
        self.inside(shell, &exports, &manifest(name, "connector", limits, handles), 0)
    }

    /// A scorer with this inside, and so many core instances beside it that do nothing.
    pub(crate) fn crowded_scorer(&self, shell: &[u8], name: &str, limits: &str, instances: u8) -> Vec<u8> {
        self.inside(shell, &["score"], &manifest(name, "scorer", limits, ""), instances)
    }

    fn inside(&self, shell: &[u8], exports: &[&str], manifest: &str, instances: u8) -> Vec<u8> {
        let core = wat::parse_str(self.text(exports)).unwrap();
        let mut bytes = shell[..PREAMBLE_BYTES].to_vec();
        let mut modules = 0;
        for (id, content) in sections(shell) {
            match id {
                CORE_MODULE => {
                    push(&mut bytes, CORE_MODULE, &core);
                    modules += 1;
                }
                // The manifest, or names for debuggers.
                CUSTOM => {}
                id => push(&mut bytes, id, content),
            }
        }
        assert_eq!(modules, 1, "the shell has imports; their adapters are core modules, too");
        if instances > 0 {
            push(&mut bytes, CORE_MODULE, &wat::parse_str("(module)").unwrap());
            // Each: made of module 1, with no arguments.
            let made: Vec<u8> = (0..instances).flat_map(|_| [0, 1, 0]).collect();
            push(&mut bytes, CORE_INSTANCE, &[&leb128(usize::from(instances)), made.as_slice()].concat());
        }
        portreeve_build::embed(&bytes, manifest.as_bytes()).unwrap()
    }
}

/// A manifest that asks for these limits and for no import.
pub(crate) fn manifest(name: &str, kind: &str, limits: &str, rest: &str) -> String {
    format!(
        "[plugin]\nname = \"{name}\"\nversion = \"0.1.0\"\nkind = \"{kind}\"\ncontract = \"portreeve:plugin@0.1.0\"\n\
         description = \"A hostile guest.\"\npublisher = \"hostile\"\nlicense = \"Apache-2.0\"\n\
         [limits]\n{limits}\n{rest}"
    )
}

/// The sections of a component: what each is, and its content.
pub(crate) fn sections(component: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let mut rest = &component[PREAMBLE_BYTES..];
    while let Some((id, after_id)) = rest.split_first() {
        let digits = after_id.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let length = after_id[..digits].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let (content, next) = after_id[digits..].split_at(length);
        found.push((*id, content));
        rest = next;
    }
    found
}

fn push(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.push(id);
    bytes.extend(leb128(content.len()));
    bytes.extend_from_slice(content);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        digits.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return digits;
        }
    }
}

//! The contract's types and imports in Rust, generated from `wit/`.
//!
//! One generated world imports everything of ours, so that one set of types and
//! one set of host functions serves every kind of plugin. It decides nothing:
//! the linker of each plugin gets only what its kind allows and its manifest
//! declares (`plugin`). The exports are called through typed functions whose
//! signatures `call` writes down; wasmtime compares them with the component's.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package portreeve:host;

        world capabilities {
            import portreeve:plugin/values@0.1.0;
            import portreeve:plugin/events@0.1.0;
            import portreeve:plugin/advice@0.1.0;
            import portreeve:plugin/documents@0.1.0;
            import portreeve:plugin/log@0.1.0;
            import portreeve:plugin/numbers@0.1.0;
            import portreeve:plugin/lookup@0.1.0;
            import portreeve:plugin/artifact@0.1.0;
            import portreeve:plugin/kv@0.1.0;
        }
    ",
    world: "portreeve:host/capabilities",
    imports: {
        "portreeve:plugin/log.write": trappable,
        default: async | trappable,
    },
    require_store_data_send: true,
});

pub(crate) use portreeve::plugin::{advice, artifact, documents, events, kv, log, lookup, numbers, values};

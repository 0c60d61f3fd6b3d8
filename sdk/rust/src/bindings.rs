//! What `wit-bindgen` makes of `wit/`: the only `unsafe` code of the SDK is generated here, but for the heap's.
//!
//! The types and host functions that the three worlds share are generated once,
//! in [`shared`], so that an `Order` is the same Rust type in a connector and in
//! a scorer. Each world then adds its exports and a macro. A component imports
//! only what its code calls: the linker drops the worlds and interfaces that a
//! plugin doesn't use, and the exports are described by the macro alone.
#![allow(missing_docs, unreachable_pub, reason = "generated; the documentation is in wit/")]
#![allow(clippy::all, reason = "generated code")]

/// The types and the host's functions, for all kinds.
pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package portreeve:sdk;
            world shared {
                import portreeve:plugin/values@0.1.0;
                import portreeve:plugin/events@0.1.0;
                import portreeve:plugin/documents@0.1.0;
                import portreeve:plugin/advice@0.1.0;
                import portreeve:plugin/log@0.1.0;
                import portreeve:plugin/lookup@0.1.0;
                import portreeve:plugin/numbers@0.1.0;
                import portreeve:plugin/kv@0.1.0;
                import portreeve:plugin/artifact@0.1.0;
            }
        ",
        path: "../../wit",
        world: "portreeve:sdk/shared",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

/// The connector's world: its exports, and wasi:http.
pub mod connector {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "portreeve:plugin/connector@0.1.0",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "portreeve_sdk::bindings::connector",
        with: {
            "portreeve:plugin/values@0.1.0": crate::bindings::shared::portreeve::plugin::values,
            "portreeve:plugin/events@0.1.0": crate::bindings::shared::portreeve::plugin::events,
            "portreeve:plugin/documents@0.1.0": crate::bindings::shared::portreeve::plugin::documents,
            "portreeve:plugin/log@0.1.0": crate::bindings::shared::portreeve::plugin::log,
            "portreeve:plugin/lookup@0.1.0": crate::bindings::shared::portreeve::plugin::lookup,
            "portreeve:plugin/numbers@0.1.0": crate::bindings::shared::portreeve::plugin::numbers,
            "portreeve:plugin/kv@0.1.0": crate::bindings::shared::portreeve::plugin::kv,
        },
    });
}

/// The transformer's world: its exports.
pub mod transformer {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "portreeve:plugin/transformer@0.1.0",
        pub_export_macro: true,
        default_bindings_module: "portreeve_sdk::bindings::transformer",
        with: {
            "portreeve:plugin/values@0.1.0": crate::bindings::shared::portreeve::plugin::values,
            "portreeve:plugin/events@0.1.0": crate::bindings::shared::portreeve::plugin::events,
            "portreeve:plugin/documents@0.1.0": crate::bindings::shared::portreeve::plugin::documents,
            "portreeve:plugin/log@0.1.0": crate::bindings::shared::portreeve::plugin::log,
            "portreeve:plugin/lookup@0.1.0": crate::bindings::shared::portreeve::plugin::lookup,
            "portreeve:plugin/artifact@0.1.0": crate::bindings::shared::portreeve::plugin::artifact,
        },
    });
}

/// The scorer's world: its exports.
pub mod scorer {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "portreeve:plugin/scorer@0.1.0",
        pub_export_macro: true,
        default_bindings_module: "portreeve_sdk::bindings::scorer",
        with: {
            "portreeve:plugin/values@0.1.0": crate::bindings::shared::portreeve::plugin::values,
            "portreeve:plugin/events@0.1.0": crate::bindings::shared::portreeve::plugin::events,
            "portreeve:plugin/advice@0.1.0": crate::bindings::shared::portreeve::plugin::advice,
            "portreeve:plugin/log@0.1.0": crate::bindings::shared::portreeve::plugin::log,
            "portreeve:plugin/lookup@0.1.0": crate::bindings::shared::portreeve::plugin::lookup,
            "portreeve:plugin/artifact@0.1.0": crate::bindings::shared::portreeve::plugin::artifact,
        },
    });
}

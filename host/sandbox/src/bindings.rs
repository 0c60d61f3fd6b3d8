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

/// The same types as a call is given them: they borrow, since wasmtime copies them
/// into the guest anyway. Nothing calls the functions: they tell the generator which
/// types are given, and it wants to know that of every type.
pub(crate) mod borrowed {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package portreeve:host;

            world requests {
                use portreeve:plugin/advice@0.1.0.{scoring-request, assessment};
                use portreeve:plugin/values@0.1.0.{failure};
                use portreeve:plugin/documents@0.1.0.{
                    inbound, delivery, find-query, poll-request, check-request, mapping-request, rendering-request,
                    received, receipt, polled, check-report,
                };

                export receive: func(of: inbound);
                export deliver: func(of: delivery);
                export find: func(of: find-query);
                export poll: func(of: poll-request);
                export check: func(of: check-request);
                export to-canonical: func(of: mapping-request);
                export from-canonical: func(of: rendering-request);
                export score: func(of: scoring-request);
                export not-given: func(a: assessment, b: received, c: receipt);
                export nor-given: func(a: polled, b: check-report, c: failure);
            }
        ",
        world: "portreeve:host/requests",
        ownership: Borrowing { duplicate_if_necessary: false },
    });

    pub(crate) use portreeve::plugin::{advice, documents, events, values};
}

pub(crate) use portreeve::plugin::{advice, artifact, documents, events, kv, log, lookup, numbers, values};

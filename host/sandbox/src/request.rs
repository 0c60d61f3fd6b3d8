//! What a guest sets of an outgoing request, bounded.
//!
//! `wasi:http` keeps method, scheme, authority and path in the host as texts, each
//! as long as one transfer out of a guest may be, for as many requests as there
//! are handles. A guest that never sends any of them would so fill gigabytes of the
//! host from megabytes of its own. These functions stand before the four setters of
//! `wasmtime-wasi-http`: a text that no request needs is refused as the setter's
//! own error, and all of them count against the call's `http_bytes`.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest, Method, OutgoingRequest, Scheme};

use crate::host::{Border, Stop};
use crate::limits::{HTTP_NAME_BYTES_MAX, URL_BYTES_MAX};
use crate::outcome::CallFailure;

/// The interface by the name under which `wasmtime-wasi-http` links it: under another
/// one, these setters would stand before nothing.
const TYPES: &str = "wasi:http/types@0.2.12";

/// What a setter answers.
type Set = wasmtime::Result<Result<(), ()>>;

/// Puts the bounded setters in the place of those that were linked before.
pub(crate) fn bound_setters(linker: &mut Linker<Border>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    bound(linker, "set-method", method, |border, request, method| border.http().set_method(request, method))?;
    bound(linker, "set-scheme", scheme, |border, request, scheme| border.http().set_scheme(request, scheme))?;
    bound(linker, "set-authority", part, |border, request, text| border.http().set_authority(request, text))?;
    bound(linker, "set-path-with-query", part, |border, request, text| {
        border.http().set_path_with_query(request, text)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A setter that first looks how long the value is.
fn bound<V>(
    linker: &mut Linker<Border>,
    setter: &str,
    length: fn(&V) -> Length,
    set: fn(&mut Border, Resource<OutgoingRequest>, V) -> Set,
) -> wasmtime::Result<()>
where
    V: ComponentType + Lift + Send + 'static,
{
    let bounded = move |mut store: StoreContextMut<'_, Border>, (request, value): (Resource<OutgoingRequest>, V)| {
        let Length { bytes, allowed } = length(&value);
        if bytes > allowed {
            return Ok((Err(()),));
        }
        let border = store.data_mut();
        border.sender().charge(bytes).map_err(|beyond| {
            let (found, allowed) = (beyond.found, beyond.allowed);
            Stop(CallFailure::TooLarge { what: "HTTP bytes", found, allowed })
        })?;
        Ok((set(border, request, value)?,))
    };
    linker.instance(TYPES)?.func_wrap(&format!("[method]outgoing-request.{setter}"), bounded)
}

/// How long a text is, and may be.
struct Length {
    bytes: usize,
    allowed: usize,
}

fn method(method: &Method) -> Length {
    let bytes = if let Method::Other(name) = method { name.len() } else { 0 };
    Length { bytes, allowed: HTTP_NAME_BYTES_MAX }
}

fn scheme(scheme: &Option<Scheme>) -> Length {
    let bytes = if let Some(Scheme::Other(name)) = scheme { name.len() } else { 0 };
    Length { bytes, allowed: HTTP_NAME_BYTES_MAX }
}

fn part(part: &Option<String>) -> Length {
    Length { bytes: part.as_ref().map_or(0, String::len), allowed: URL_BYTES_MAX }
}

//! The attribute macro of testjig; use it as `testjig::test`, where it is documented.

mod test;

use proc_macro::TokenStream;

/// Registers a function as a device test. Documented in the crate `testjig`.
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    test::expand(attribute.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

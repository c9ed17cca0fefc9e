//! `#[testjig::test(…)]`: parsing of its arguments, and the registration it expands to.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, FnArg, Ident, ItemFn, Lit, Pat, Result, Token, Type, parenthesized};

/// What stands between the parentheses of the attribute.
struct Arguments {
    on: Type,
    needs: Vec<Ident>,
    launch: Option<Expr>,
    vary: Vec<Axis>,
    deadline: Option<Expr>,
    xfail: Option<Expr>,
    unstable: Option<Expr>,
}

/// `name = [values]` within `vary(…)`.
struct Axis {
    name: Ident,
    values: Expr,
}

impl Parse for Axis {
    fn parse(input: ParseStream) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self {
            name,
            values: input.parse()?,
        })
    }
}

const USAGE: &str = "expected `on = INTERFACE`, and where wanted `needs(clock)`, \
                     `launch = |l| …`, `vary(name = [values])`, `deadline = DURATION`, `xfail = \"why, and where it is known\"`, `unstable = \"why\"`";

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Self> {
        let (mut on, mut launch, mut deadline) = (None, None, None);
        let (mut xfail, mut unstable) = (None, None);
        let (mut needs, mut vary) = (Vec::new(), Vec::new());
        while !input.is_empty() {
            let key: Ident = input
                .parse()
                .map_err(|e| syn::Error::new(e.span(), USAGE))?;
            if key == "needs" || key == "vary" {
                let inner;
                parenthesized!(inner in input);
                if key == "needs" {
                    needs.extend(Punctuated::<Ident, Token![,]>::parse_terminated(&inner)?);
                } else {
                    vary.extend(Punctuated::<Axis, Token![,]>::parse_terminated(&inner)?);
                }
            } else {
                input.parse::<Token![=]>()?;
                if key == "on" {
                    set(&mut on, &key, input.parse()?)?;
                } else if key == "launch" {
                    set(&mut launch, &key, input.parse()?)?;
                } else if key == "deadline" {
                    set(&mut deadline, &key, input.parse()?)?;
                } else if key == "xfail" {
                    set(&mut xfail, &key, reason(input.parse()?)?)?;
                } else if key == "unstable" {
                    set(&mut unstable, &key, reason(input.parse()?)?)?;
                } else {
                    return Err(syn::Error::new(
                        key.span(),
                        format!("`{key}` is unknown: {USAGE}"),
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let on = on.ok_or_else(|| {
            syn::Error::new(
                Span::call_site(),
                "say which interface the test is on: `#[testjig::test(on = Mc146818)]`",
            )
        })?;
        Ok(Self {
            on,
            needs,
            launch,
            vary,
            deadline,
            xfail,
            unstable,
        })
    }
}

/// A test that may fail needs a cause that a person can look up, or it stays so for ever.
fn reason(reason: Expr) -> Result<Expr> {
    if let Expr::Lit(ExprLit { lit, .. }) = &reason {
        if !matches!(lit, Lit::Str(text) if !text.value().trim().is_empty()) {
            return Err(syn::Error::new(
                lit.span(),
                "say why it fails, with a link: \"sets BUSY twice, https://…\"",
            ));
        }
    }
    Ok(reason)
}

fn set<T>(slot: &mut Option<T>, key: &Ident, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(syn::Error::new(
            key.span(),
            format!("`{key}` is given twice"),
        ));
    }
    Ok(())
}

/// How one parameter of the test gets its value.
enum Parameter {
    /// `size: u64`, named in `vary`.
    Picked(Ident, Type),
    /// `rtc: Mc146818`
    Taken(Type),
    /// `vm: &Vm`
    Borrowed(Type),
}

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(attribute)?;
    let function: ItemFn = syn::parse2(item)?;
    reject_odd_signatures(&function)?;
    let parameters = function
        .sig
        .inputs
        .iter()
        .map(|input| classify(input, &arguments.vary))
        .collect::<Result<Vec<_>>>()?;
    for axis in &arguments.vary {
        if type_of(axis, &parameters).is_none() && arguments.launch.is_none() {
            return Err(syn::Error::new(
                axis.name.span(),
                format!(
                    "nothing uses `{0}`: give the test a parameter of that name",
                    axis.name
                ),
            ));
        }
    }

    let private = quote!(::testjig::__private);
    let name = &function.sig.ident;
    let registration = format_ident!("__TESTJIG_{}", name.to_string().to_uppercase());
    let on = &arguments.on;
    let needs = arguments
        .needs
        .iter()
        .map(capability)
        .collect::<Result<Vec<_>>>()?;
    let deadline = option(arguments.deadline.as_ref());
    let xfail = option(arguments.xfail.as_ref());
    let unstable = option(arguments.unstable.as_ref());

    let wants = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Picked(..) => None,
        Parameter::Taken(ty) | Parameter::Borrowed(ty) => {
            Some(quote!(#private::NodeType::of::<#ty>))
        }
    });
    // The parameter's type, where there is one, decides what a literal among the values is.
    let axes = arguments.vary.iter().map(|axis| {
        let (label, values) = (axis.name.to_string(), &axis.values);
        let ty = type_of(axis, &parameters).map_or_else(|| quote!(_), |ty| quote!(#ty));
        quote!(#private::axis::<#ty>(#label, #values))
    });
    let picks: Vec<_> = arguments
        .vary
        .iter()
        .enumerate()
        .map(|(index, axis)| {
            let Axis { name, values } = axis;
            let ty = type_of(axis, &parameters).map_or_else(|| quote!(_), |ty| quote!(#ty));
            quote! { let #name = #private::pick::<#ty>(#values, picked[#index]); let _ = &#name; }
        })
        .collect();
    let configure = arguments.launch.as_ref().map(|closure| {
        quote! { #(#picks)* let launch = #private::configure(launch, #closure); }
    });

    let (take, borrow, locals) = fetches(&parameters);

    Ok(quote! {
        // A test owns its device, whether it consumes it or not.
        #[allow(clippy::needless_pass_by_value, reason = "whether it is consumed is the test's")]
        #function

        #[doc(hidden)]
        #[#private::linkme::distributed_slice(#private::TESTS)]
        #[linkme(crate = #private::linkme)]
        static #registration: #private::TestDef = #private::TestDef {
            module: ::core::module_path!(),
            name: ::core::stringify!(#name),
            file: ::core::file!(),
            line: ::core::line!(),
            on: #private::NodeType::of::<#on>,
            wants: &[#(#wants),*],
            needs: &[#(#needs),*],
            deadline: #deadline,
            xfail: #xfail,
            unstable: #unstable,
            axes: || ::std::vec![#(#axes),*],
            configure: |launch, picked| {
                let _ = picked;
                #configure
                launch
            },
            run: |context, picked| {
                let _ = (&context, picked);
                #(#picks)*
                #(#take)*
                #(#borrow)*
                #private::TestResult::into_result(#name(#(#locals),*))
            },
        };
    })
}

/// An argument that may be missing, as an `Option`.
fn option(value: Option<&Expr>) -> TokenStream {
    value.map_or_else(
        || quote!(::core::option::Option::None),
        |value| quote!(::core::option::Option::Some(#value)),
    )
}

/// The statements that get each parameter's value, and the names that they give to them. Values are taken first: that needs the context
/// mutably, and the references live until the call.
fn fetches(parameters: &[Parameter]) -> (Vec<TokenStream>, Vec<TokenStream>, Vec<Ident>) {
    let (mut take, mut borrow, mut locals) = (Vec::new(), Vec::new(), Vec::new());
    for (index, parameter) in parameters.iter().enumerate() {
        let local = format_ident!("parameter{index}");
        match parameter {
            Parameter::Picked(value, _) => take.push(quote!(let #local = #value;)),
            Parameter::Taken(ty) => take.push(quote!(let #local = context.take::<#ty>();)),
            Parameter::Borrowed(ty) => borrow.push(quote!(let #local = context.get::<#ty>();)),
        }
        locals.push(local);
    }
    (take, borrow, locals)
}

/// The type of the parameter that an axis gives its values to.
fn type_of<'a>(axis: &Axis, parameters: &'a [Parameter]) -> Option<&'a Type> {
    parameters.iter().find_map(|parameter| match parameter {
        Parameter::Picked(name, ty) if *name == axis.name => Some(ty),
        _ => None,
    })
}

fn reject_odd_signatures(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(asyncness) = signature.asyncness {
        return Err(syn::Error::new(
            asyncness.span(),
            "a device test is not async: its clock is the machine's virtual one",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new(
            signature.generics.span(),
            "a device test has no generic parameters: use `vary(name = [values])` to multiply it",
        ));
    }
    Ok(())
}

fn classify(input: &FnArg, vary: &[Axis]) -> Result<Parameter> {
    let FnArg::Typed(argument) = input else {
        return Err(syn::Error::new(
            input.span(),
            "a device test is a free function",
        ));
    };
    if let Pat::Ident(pattern) = &*argument.pat {
        if vary.iter().any(|axis| axis.name == pattern.ident) {
            return Ok(Parameter::Picked(
                pattern.ident.clone(),
                (*argument.ty).clone(),
            ));
        }
    }
    match &*argument.ty {
        Type::Reference(reference) if reference.mutability.is_some() => Err(syn::Error::new(
            reference.span(),
            "take the value itself, or a shared reference",
        )),
        Type::Reference(reference) => Ok(Parameter::Borrowed((*reference.elem).clone())),
        other => Ok(Parameter::Taken(other.clone())),
    }
}

fn capability(name: &Ident) -> Result<TokenStream> {
    match name.to_string().as_str() {
        "clock" => Ok(quote!(::testjig::__private::Capability::Clock)),
        "running" => Ok(quote!(::testjig::__private::Capability::Running)),
        _ => Err(syn::Error::new(
            name.span(),
            "a test can need `clock` (it moves the virtual clock) or `running` (time passes by itself)",
        )),
    }
}

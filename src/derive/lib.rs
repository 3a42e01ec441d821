//! `#[derive(Module)]`: see `rustnn::nn::Module`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, parse_macro_input, parse_quote};

/// Implements `rustnn::nn::Module` for a struct, whose fields are its members: parameters, buffers, modules, options and
/// lists of these, the training flag, and settings (numbers, strings), which hold nothing.
///
/// - `#[module(skip)]` on a field of another type: it holds no parameters.
/// - `#[module(rename = "name")]`: the field's name in state dicts.
/// - `#[module(crate = path)]` on the struct: where `rustnn` is found, if it goes by another name.
/// - `#[module(flatten)]` on a module: its members are called as if they were this struct's own.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input).unwrap_or_else(Error::into_compile_error).into()
}

/// A field that counts: how it is reached, and its name in state dicts.
struct Member {
    place: syn::Member,
    name: String,
    kind: syn::Type,
    is_flat: bool,
}

impl Member {
    /// The call of `function` for this field; at the field's type, where an error is looked for.
    fn call(&self, function: &str, through: &Tokens, rustnn: &syn::Path) -> Tokens {
        let Member { place, name, kind, is_flat } = self;
        let (visit, members) = (format_ident!("visit{function}"), format_ident!("members{function}"));
        if *is_flat {
            quote_spanned!(kind.span()=> #rustnn::nn::Module::#members(#through self.#place, visit);)
        } else {
            quote_spanned!(kind.span()=> #rustnn::nn::Member::#visit(#through self.#place, #name, visit);)
        }
    }
}

fn expand(mut input: DeriveInput) -> Result<Tokens> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Module can be derived for structs; implement it by hand for an enum"));
    };
    let rustnn = crate_path(&input)?;
    let members = members(&data.fields)?;
    // A generic field is a member if its type is: the bounds say so.
    let generic: Vec<(syn::Type, bool)> = {
        let parameters: Vec<_> = input.generics.type_params().map(|p| p.ident.clone()).collect();
        members.iter().filter(|m| mentions(&m.kind, &parameters)).map(|m| (m.kind.clone(), m.is_flat)).collect()
    };
    let bounds = input.generics.make_where_clause();
    for (kind, is_flat) in generic {
        let bound = if is_flat { quote!(Module) } else { quote!(Member) };
        bounds.predicates.push(parse_quote!(#kind: #rustnn::nn::#bound));
    }
    let parameters: Vec<_> = input.generics.type_params().map(|p| p.ident.clone()).collect();
    let bounds = input.generics.make_where_clause();
    for parameter in parameters {
        bounds.predicates.push(parse_quote!(#parameter: ::core::marker::Send + ::core::marker::Sync));
    }
    let (impl_generics, type_generics, bounds) = input.generics.split_for_impl();
    let ident = &input.ident;
    let class = ident.to_string();
    let visit = members.iter().map(|m| m.call("", &quote!(&), &rustnn));
    let visit_mut = members.iter().map(|m| m.call("_mut", &quote!(&mut), &rustnn));
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #rustnn::nn::Module for #ident #type_generics #bounds {
            fn class_name(&self) -> &str {
                #class
            }

            fn members<'module>(&'module self, visit: &mut dyn FnMut(&str, #rustnn::nn::Part<'module>)) {
                let _ = &visit;
                #(#visit)*
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, #rustnn::nn::PartMut<'_>)) {
                let _ = &visit;
                #(#visit_mut)*
            }
        }
    })
}

/// The path of the crate: `::rustnn`, or what `#[module(crate = …)]` says, with or without quotation marks.
fn crate_path(input: &DeriveInput) -> Result<syn::Path> {
    let mut path = parse_quote!(::rustnn);
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("expected `crate = path`"));
            }
            let value = meta.value()?;
            path = if value.peek(LitStr) {
                value.parse::<LitStr>()?.parse_with(syn::Path::parse_mod_style)?
            } else {
                value.call(syn::Path::parse_mod_style)?
            };
            Ok(())
        })?;
    }
    Ok(path)
}

fn members(fields: &Fields) -> Result<Vec<Member>> {
    let mut out: Vec<Member> = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let (place, mut name) = match &field.ident {
            Some(ident) => (syn::Member::from(ident.clone()), ident.to_string().trim_start_matches("r#").to_string()),
            None => (syn::Member::from(number), number.to_string()),
        };
        let (mut skip, mut is_flat) = (false, false);
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("skip") {
                    skip = true;
                    return Ok(());
                }
                if meta.path.is_ident("flatten") {
                    is_flat = true;
                    return Ok(());
                }
                if !meta.path.is_ident("rename") {
                    return Err(meta.error("expected `skip`, `flatten` or `rename = \"name\"`"));
                }
                let given: LitStr = meta.value()?.parse()?;
                name = given.value();
                if name.is_empty() || name.contains('.') {
                    return Err(Error::new(given.span(), "a name in a state dict is not empty and has no dot"));
                }
                Ok(())
            })?;
        }
        if skip {
            continue;
        }
        if !is_flat && out.iter().any(|m| !m.is_flat && m.name == name) {
            return Err(Error::new_spanned(field, format_args!("two fields are called {name:?} in state dicts")));
        }
        out.push(Member { place, name, kind: field.ty.clone(), is_flat });
    }
    Ok(out)
}

/// Whether a type names one of the generic parameters.
fn mentions(kind: &syn::Type, parameters: &[syn::Ident]) -> bool {
    let named: Vec<_> = parameters.iter().map(|p| format_ident!("{p}")).collect();
    quote!(#kind).into_iter().any(|token| names(token, &named))
}

fn names(token: proc_macro2::TokenTree, parameters: &[syn::Ident]) -> bool {
    match token {
        proc_macro2::TokenTree::Ident(ident) => parameters.contains(&ident),
        proc_macro2::TokenTree::Group(group) => group.stream().into_iter().any(|token| names(token, parameters)),
        _ => false,
    }
}

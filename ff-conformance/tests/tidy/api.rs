//! `ff-core/public-api.txt`: the contract's public items without docs and bodies, so that no change of it goes unseen.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Block, Fields, ImplItem, Item, Signature, TraitItem, Visibility, parse_quote};

use crate::files::{Problems, Tree, compare};

const FILE: &str = "ff-core/public-api.txt";

const SOURCE: &str = "ff-core/src/";

/// Attributes that are part of the contract: what a type can do, and how it is written.
const KEPT: [&str; 4] = ["derive", "non_exhaustive", "serde", "async_trait"];

/// Compares the text with the source.
pub(crate) fn check(tree: &Tree) -> Problems {
    let (mut text, mut problems) =
        (String::from("The public API of ff-core, by file; `./dev docs` writes it.\n"), Vec::new());
    for (path, source) in tree.ending(".rs").filter(|(path, _)| path.starts_with(SOURCE)) {
        match syn::parse_file(source) {
            Ok(mut file) => {
                file.attrs.clear();
                file.items = file.items.into_iter().filter_map(public).collect();
                if !file.items.is_empty() {
                    let name = path.trim_start_matches(SOURCE).trim_end_matches(".rs");
                    text.push_str(&format!("\n=== {name} ===\n\n{}", prettyplease::unparse(&file)));
                }
            }
            Err(error) => problems.push(format!("{path}: {error}")),
        }
    }
    if problems.is_empty() { compare(tree, FILE, &text) } else { problems }
}

/// The public part of an item, if it has one.
fn public(mut item: Item) -> Option<Item> {
    match &mut item {
        Item::Const(item) => keep(&item.vis, &mut item.attrs)?,
        Item::Type(item) => keep(&item.vis, &mut item.attrs)?,
        Item::Use(item) => keep(&item.vis, &mut item.attrs)?,
        Item::Fn(item) => {
            keep(&item.vis, &mut item.attrs)?;
            bare(&mut item.sig, &mut item.block);
        }
        Item::Struct(item) => {
            keep(&item.vis, &mut item.attrs)?;
            fields(&mut item.fields);
        }
        Item::Enum(item) => {
            keep(&item.vis, &mut item.attrs)?;
            for variant in &mut item.variants {
                attributes(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| attributes(&mut field.attrs));
            }
        }
        Item::Trait(item) => {
            keep(&item.vis, &mut item.attrs)?;
            item.items.iter_mut().for_each(trait_part);
        }
        Item::Impl(item) => {
            attributes(&mut item.attrs);
            let of_trait = item.trait_.is_some();
            item.items =
                std::mem::take(&mut item.items).into_iter().filter_map(|part| method(part, of_trait)).collect();
            if item.items.is_empty() && !of_trait {
                return None;
            }
        }
        // What a macro makes is part of the contract too: its rules and what they are given.
        Item::Macro(item) => {
            attributes(&mut item.attrs);
            item.mac.tokens = without_docs(item.mac.tokens.clone());
        }
        _ => return None,
    }
    Some(item)
}

fn keep(visibility: &Visibility, own: &mut Vec<Attribute>) -> Option<()> {
    attributes(own);
    matches!(visibility, Visibility::Public(_)).then_some(())
}

fn attributes(own: &mut Vec<Attribute>) {
    own.retain(|attribute| KEPT.iter().any(|kept| attribute.path().is_ident(kept)));
}

/// Private fields of a struct go; those of a tuple leave their place.
fn fields(own: &mut Fields) {
    own.iter_mut().for_each(|field| attributes(&mut field.attrs));
    match own {
        Fields::Named(named) => {
            let kept = std::mem::take(&mut named.named).into_iter();
            named.named = kept.filter(|field| matches!(field.vis, Visibility::Public(_))).collect();
        }
        Fields::Unnamed(unnamed) => {
            let private = unnamed.unnamed.iter_mut().filter(|field| !matches!(field.vis, Visibility::Public(_)));
            private.for_each(|field| field.ty = parse_quote!(_));
        }
        Fields::Unit => {}
    }
}

fn trait_part(part: &mut TraitItem) {
    if let TraitItem::Fn(method) = part {
        attributes(&mut method.attrs);
        if let Some(body) = &mut method.default {
            bare(&mut method.sig, body);
        }
    }
}

fn method(mut part: ImplItem, of_trait: bool) -> Option<ImplItem> {
    match &mut part {
        // The trait says what its methods are.
        _ if of_trait => None,
        ImplItem::Fn(method) => {
            keep(&method.vis, &mut method.attrs)?;
            bare(&mut method.sig, &mut method.block);
            Some(part)
        }
        ImplItem::Const(constant) => keep(&constant.vis, &mut constant.attrs).map(|()| part),
        _ => None,
    }
}

fn bare(signature: &mut Signature, body: &mut Block) {
    for argument in &mut signature.inputs {
        if let syn::FnArg::Typed(argument) = argument
            && let syn::Pat::Ident(name) = &mut *argument.pat
        {
            name.mutability = None;
        }
    }
    body.stmts.clear();
}

/// The tokens without `#[doc = "…"]`.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_doc = matches!((token, tokens.get(at + 1)), (TokenTree::Punct(sign), Some(TokenTree::Group(group)))
            if sign.as_char() == '#' && group.stream().to_string().starts_with("doc ="));
        if is_doc {
            at += 2;
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => {
                let mut inner = proc_macro2::Group::new(group.delimiter(), without_docs(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            token => token.clone(),
        });
        at += 1;
    }
    kept.into_iter().collect()
}

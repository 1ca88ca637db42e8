//! The attribute that puts every method of an implementation under observation.

use proc_macro::TokenStream;
use proc_macro2::{Ident, TokenStream as Tokens};
use quote::{format_ident, quote};
use syn::{Block, Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Pat, ReturnType, Type, parse_macro_input, parse_quote};

/// Gives every `async` method of an implementation of a contract trait a span and its metrics.
///
/// It stands above `#[async_trait]`. The type has a method `observer(&self) -> &ff_observe::Observer`. The name of a
/// method is the name of its operation; its arguments say by `ff_observe::Traced` which of their ids a span shows.
#[proc_macro_attribute]
pub fn observed(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = parse_macro_input!(item as ItemImpl);
    for part in &mut item.items {
        if let ImplItem::Fn(method) = part
            && method.sig.asyncness.is_some()
            && let Err(error) = observe(method)
        {
            return error.to_compile_error().into();
        }
    }
    quote!(#item).into()
}

fn observe(method: &mut ImplItemFn) -> Result<(), Error> {
    let name = method.sig.ident.to_string();
    let operation = variant(&name, &method.sig.ident);
    let arguments = arguments(method)?;
    let ReturnType::Type(_, answer) = &method.sig.output else {
        return Err(Error::new_spanned(&method.sig, "an operation answers a Result"));
    };
    method.block = body(&name, &operation, &arguments, answer, &method.block);
    Ok(())
}

/// `read_execution_info` is `ReadExecutionInfo`.
fn variant(name: &str, method: &Ident) -> Ident {
    let mut variant = String::new();
    for word in name.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        variant.push_str(&first.to_uppercase());
        variant.push_str(rest);
    }
    format_ident!("{variant}", span = method.span())
}

fn arguments(method: &ImplItemFn) -> Result<Vec<Ident>, Error> {
    let typed = method.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    let named = |pattern: &Pat| match pattern {
        Pat::Ident(name) => Ok(name.ident.clone()),
        other => Err(Error::new_spanned(other, "an argument of an operation has a name")),
    };
    typed.map(|argument| named(&argument.pat)).collect()
}

fn body(name: &str, operation: &Ident, arguments: &[Ident], answer: &Type, block: &Block) -> Block {
    let traced: Tokens = arguments
        .iter()
        .map(|argument| quote!(::ff_observe::Traced::trace(&#argument, &span, self.observer().backend());))
        .collect();
    parse_quote!({
        let span = ::ff_observe::span!(#name, self.observer());
        if !span.is_disabled() {
            #traced
        }
        let scanner = ::core::option::Option::None #(.or(::ff_observe::Traced::scanner(&#arguments)))*;
        // In its place once: a future that is handed on lies in each that it is handed to.
        let work = ::core::pin::pin!(async move {
            // Tells the compiler what `?` and `return` below come to.
            if let ::core::option::Option::Some(answer) = ::core::option::Option::None::<#answer> {
                return answer;
            }
            #block
        });
        ::ff_observe::watch(self.observer(), ::ff_core::Operation::#operation, scanner, span, work).await
    })
}

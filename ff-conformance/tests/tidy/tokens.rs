//! What a function calls, read from its tokens: so calls inside of macros count too.

use std::collections::BTreeSet;

use ff_core::Operation;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What the body of a function names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    /// Methods that it calls, `.name(`.
    pub(crate) methods: BTreeSet<String>,
    /// Operations that it asks for first, `.offers(Operation::Name)`, by the name of their method.
    pub(crate) offered: BTreeSet<String>,
    /// Functions that it calls, `name(` or `module::name(`, by module and name.
    pub(crate) functions: BTreeSet<(Option<String>, String)>,
    /// Requirements that its `check!` name.
    pub(crate) checks: BTreeSet<String>,
    /// Every word and literal.
    pub(crate) words: Vec<String>,
    /// True if `return Ok(())` stands before the first `check!`.
    pub(crate) returns_before_check: bool,
}

impl Uses {
    /// What `body` uses.
    pub(crate) fn of(body: TokenStream) -> Self {
        let mut uses = Self::default();
        uses.walk(&trees(body));
        uses
    }

    fn walk(&mut self, tokens: &[TokenTree]) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    self.name(&name, tokens, at);
                    self.words.push(name);
                }
                TokenTree::Literal(literal) => self.words.push(literal.to_string()),
                TokenTree::Group(group) => self.walk(&trees(group.stream())),
                TokenTree::Punct(_) => {}
            }
        }
    }

    fn name(&mut self, name: &str, tokens: &[TokenTree], at: usize) {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        match name {
            "check" if punct(tokens.get(at + 1), '!') => self.checks.extend(requirement(tokens.get(at + 2))),
            "return" if self.checks.is_empty() && ok_unit(tokens.get(at + 1..)) => self.returns_before_check = true,
            _ if !is_called(tokens, at) => {}
            _ if punct(before(1), '.') => {
                if name == "offers" {
                    self.offered.extend(operation(tokens.get(at + 1)));
                }
                self.methods.insert(name.to_owned());
            }
            _ => {
                let module = match before(3) {
                    Some(TokenTree::Ident(module)) if punct(before(1), ':') => Some(module.to_string()),
                    _ => None,
                };
                self.functions.insert((module, name.to_owned()));
            }
        }
    }
}

fn trees(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

/// True if a parenthesis follows, with or without type arguments.
fn is_called(tokens: &[TokenTree], at: usize) -> bool {
    let opens = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    if !(punct(tokens.get(at + 1), ':') && punct(tokens.get(at + 3), '<')) {
        return opens(tokens.get(at + 1));
    }
    let rest = tokens.get(at + 4..).unwrap_or_default();
    let close = rest.iter().position(|token| punct(Some(token), '>'));
    close.is_some_and(|close| opens(rest.get(close + 1)))
}

fn punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// True if the tokens begin with `Ok(())`.
fn ok_unit(tokens: Option<&[TokenTree]>) -> bool {
    let text: String = tokens.unwrap_or_default().iter().take(2).map(ToString::to_string).collect();
    text.split_whitespace().collect::<String>() == "Ok(())"
}

/// The method of the operation in `(Operation::Name)`.
fn operation(arguments: Option<&TokenTree>) -> Option<String> {
    let Some(TokenTree::Group(group)) = arguments else { return None };
    let last = trees(group.stream()).pop()?.to_string();
    Operation::ALL.iter().find(|op| format!("{op:?}") == last).map(ToString::to_string)
}

/// The second argument of `check!(cx, "FF-LSE-004", …)`.
fn requirement(arguments: Option<&TokenTree>) -> Option<String> {
    let Some(TokenTree::Group(group)) = arguments else { return None };
    group.stream().into_iter().find_map(|token| match token {
        TokenTree::Literal(literal) => Some(literal.to_string().trim_matches('"').to_owned()),
        _ => None,
    })
}

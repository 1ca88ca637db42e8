//! The refusals that the docs of each operation list under `# Errors`, other docs that they lead to included.

use std::collections::{BTreeMap, BTreeSet};

use ff_core::Operation;
use syn::{Attribute, ImplItem, Item, TraitItem};

use crate::files::{Problems, Tree};

const SOURCE: &str = "ff-core/src/";

/// The files that name every kind of every family.
const KINDS: [&str; 2] = ["ff-core/src/error.rs", "ff-core/src/error/kinds.rs"];

const FAMILIES: [&str; 8] =
    ["NotFound", "Validation", "Contention", "Conflict", "State", "Transport", "Unavailable", "ResourceExhausted"];

/// What the docs under `# Errors` say, by item: `Attempts`, `Attempts::complete`.
type Sections = BTreeMap<String, String>;

/// The refusals of each operation that lists any, and what is wrong with the lists.
pub(crate) fn read(tree: &Tree) -> (Vec<(Operation, Vec<String>)>, Problems) {
    let (mut sections, mut methods) = (Sections::new(), BTreeMap::new());
    for (_, text) in tree.ending(".rs").filter(|(path, _)| path.starts_with(SOURCE)) {
        // What does not parse is told by the text of the public API.
        let items = syn::parse_file(text).map(|file| file.items).unwrap_or_default();
        items.iter().for_each(|item| collect(item, &mut sections, &mut methods));
    }
    let known = |kind: &str| KINDS.iter().filter_map(|file| tree.text(file)).any(|text| has_word(text, kind));
    let (mut lists, mut problems) = (Vec::new(), Problems::new());
    for &op in Operation::ALL {
        let Some(item) = methods.get(op.as_str()) else { continue };
        let mut codes = BTreeSet::new();
        gather(item, &sections, &mut BTreeSet::new(), &mut codes);
        let unknown = codes.iter().filter(|code| !kind(code).is_none_or(known));
        problems
            .extend(unknown.map(|code| format!("{SOURCE}: the docs of {op} list {code}, and there is no such kind")));
        // A family adds nothing to one of its kinds.
        let closer = |code: &String| codes.iter().any(|other| other.starts_with(&format!("{code}(")));
        let codes: Vec<_> = codes.iter().filter(|code| !closer(code)).cloned().collect();
        if !codes.is_empty() {
            lists.push((op, codes));
        }
    }
    (lists, problems)
}

fn collect(item: &Item, sections: &mut Sections, methods: &mut BTreeMap<String, String>) {
    let mut note = |name: String, attributes: &[Attribute]| {
        if let Some(text) = errors(attributes) {
            sections.insert(name, text);
        }
    };
    match item {
        Item::Trait(item) => {
            note(item.ident.to_string(), &item.attrs);
            for part in &item.items {
                if let TraitItem::Fn(method) = part {
                    let (name, place) = (method.sig.ident.to_string(), format!("{}::{}", item.ident, method.sig.ident));
                    note(place.clone(), &method.attrs);
                    methods.insert(name, place);
                }
            }
        }
        Item::Impl(item) if item.trait_.is_none() => {
            let syn::Type::Path(of) = &*item.self_ty else { return };
            let Some(of) = of.path.get_ident() else { return };
            for part in &item.items {
                if let ImplItem::Fn(method) = part {
                    note(format!("{of}::{}", method.sig.ident), &method.attrs);
                }
            }
        }
        _ => {}
    }
}

/// The text below `# Errors`, up to the next heading.
fn errors(attributes: &[Attribute]) -> Option<String> {
    let line = |attribute: &Attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<_> = attributes.iter().filter_map(line).collect();
    let begin = lines.iter().position(|line| line == "# Errors")?;
    let body: Vec<_> = lines.iter().skip(begin + 1).take_while(|line| !line.starts_with("# ")).cloned().collect();
    Some(body.join(" "))
}

/// Adds the codes of `item`, and those of the docs that its own lead to.
fn gather(item: &str, sections: &Sections, seen: &mut BTreeSet<String>, codes: &mut BTreeSet<String>) {
    let Some(text) = sections.get(item).filter(|_| seen.insert(item.to_owned())) else { return };
    codes.extend(listed(text));
    if let Some((owner, _)) = item.split_once("::").filter(|_| text.contains("every method of the trait")) {
        gather(owner, sections, seen, codes);
    }
    for link in text.split("[`").skip(1).filter_map(|rest| rest.split_once("`]")) {
        let parts: Vec<_> = link.0.split("::").filter(|part| *part != "crate").collect();
        gather(&parts.join("::"), sections, seen, codes);
    }
}

/// `Family(Kind)` as it stands, and a kind that stands alone behind the name of its family.
fn listed(text: &str) -> BTreeSet<String> {
    let (mut codes, mut family) = (BTreeSet::new(), None);
    for word in text.split('`').skip(1).step_by(2) {
        let begin = word.split('(').next().unwrap_or_default();
        if FAMILIES.contains(&begin) {
            family = (begin == word).then(|| begin.to_owned());
            codes.insert(word.to_owned());
        } else if let Some(family) = family.as_ref().filter(|_| is_kind(word)) {
            codes.insert(format!("{family}({word})"));
        }
    }
    codes
}

fn is_kind(word: &str) -> bool {
    let camel = word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric());
    camel && !["None", "Ok", "Some", "Err"].contains(&word)
}

fn kind(code: &str) -> Option<&str> {
    code.split_once('(').and_then(|(_, kind)| kind.split([',', ')']).next())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn kinds_belong_to_the_family_before_them() {
        let text = "`Validation` with the kind: `InvalidInput`, `InvalidTagKey`. `State(StaleLease)` or `None`; `Ok`.";
        let codes: Vec<_> = listed(text).into_iter().collect();
        assert_eq!(codes, ["State(StaleLease)", "Validation", "Validation(InvalidInput)", "Validation(InvalidTagKey)"]);
    }
}

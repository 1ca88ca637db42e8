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

/// The refusals of each operation that lists any, and what is wrong with the lists.
pub(crate) fn read(tree: &Tree) -> (Vec<(Operation, Vec<String>)>, Problems) {
    let mut docs = Docs::default();
    for (_, text) in tree.ending(".rs").filter(|(path, _)| path.starts_with(SOURCE)) {
        // What does not parse is told by the text of the public API.
        let items = syn::parse_file(text).map(|file| file.items).unwrap_or_default();
        items.iter().for_each(|item| docs.collect(item));
    }
    let known = |kind: &str| KINDS.iter().filter_map(|file| tree.text(file)).any(|text| has_word(text, kind));
    let (mut lists, mut problems) = (Vec::new(), Problems::new());
    for &op in Operation::ALL {
        let Some(item) = docs.methods.get(op.as_str()) else { continue };
        let codes = docs.codes(item, &[]);
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

/// What the docs of the contract say about refusals.
#[derive(Default)]
struct Docs {
    /// The text under `# Errors`, by item: `Attempts`, `Attempts::complete`.
    sections: BTreeMap<String, String>,
    /// The item of each method of a trait.
    methods: BTreeMap<String, String>,
}

impl Docs {
    fn collect(&mut self, item: &Item) {
        match item {
            Item::Trait(item) => {
                self.note(item.ident.to_string(), &item.attrs);
                for part in &item.items {
                    if let TraitItem::Fn(method) = part {
                        let (name, place) =
                            (method.sig.ident.to_string(), format!("{}::{}", item.ident, method.sig.ident));
                        self.note(place.clone(), &method.attrs);
                        self.methods.insert(name, place);
                    }
                }
            }
            Item::Impl(item) if item.trait_.is_none() => {
                let syn::Type::Path(of) = &*item.self_ty else { return };
                let Some(of) = of.path.get_ident() else { return };
                for part in &item.items {
                    if let ImplItem::Fn(method) = part {
                        self.note(format!("{of}::{}", method.sig.ident), &method.attrs);
                    }
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, name: String, attributes: &[Attribute]) {
        if let Some(text) = errors(attributes) {
            self.sections.insert(name, text);
        }
    }

    /// The codes of `item`, with those of the docs that its own lead to; `above` are those that led here.
    fn codes(&self, item: &str, above: &[&str]) -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        let Some(text) = self.sections.get(item).filter(|_| !above.contains(&item)) else { return codes };
        let path = [above, &[item]].concat();
        let mut own = Vec::new();
        for clause in text.split([';', '.']) {
            let (head, without) = clause.split_once(" without ").unwrap_or((clause, ""));
            own.push(head);
            let left_out: Vec<_> = ticked(without).collect();
            for target in self.targets(item, head) {
                let inherited = self.codes(&target, &path).into_iter();
                codes.extend(inherited.filter(|code| !kind(code).is_some_and(|kind| left_out.contains(&kind))));
            }
        }
        codes.extend(listed(&own.join(";")));
        codes
    }

    /// The items that a clause leads to: those of its links, `As `method``, and the trait of the method.
    fn targets(&self, item: &str, clause: &str) -> Vec<String> {
        let links = clause.split("[`").skip(1).filter_map(|rest| rest.split_once("`]"));
        let links =
            links.map(|(link, _)| link.split("::").filter(|part| *part != "crate").collect::<Vec<_>>().join("::"));
        let named = ticked(clause).filter(|_| clause.trim_start().starts_with("As "));
        let named = named.filter_map(|word| self.methods.get(word).cloned());
        let owner = item.split_once("::").filter(|_| clause.contains("every method of the trait"));
        links.chain(named).chain(owner.map(|(owner, _)| owner.to_owned())).collect()
    }
}

/// What stands between backticks.
fn ticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `Family(Kind)` as it stands, and a kind that stands alone behind the name of its family.
fn listed(text: &str) -> BTreeSet<String> {
    let (mut codes, mut family) = (BTreeSet::new(), None);
    for word in ticked(text) {
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
    use super::{Docs, listed};

    #[test]
    fn kinds_belong_to_the_family_before_them() {
        let text = "`Validation` with the kind: `InvalidInput`, `InvalidTagKey`. `State(StaleLease)` or `None`; `Ok`.";
        let codes: Vec<_> = listed(text).into_iter().collect();
        assert_eq!(codes, ["State(StaleLease)", "Validation", "Validation(InvalidInput)", "Validation(InvalidTagKey)"]);
    }

    #[test]
    fn docs_lead_to_other_docs() {
        let mut docs = Docs::default();
        for (item, text) in [
            ("A", "Of every method: `NotFound(Execution)`."),
            ("A::one", "As every method of the trait; `State(StaleLease)` if it is lost."),
            ("A::two", "As `one` without `StaleLease`; `Validation(InvalidInput)` by [`Args::check`]."),
            ("Args::check", "`Validation` with `PayloadTooLarge`. As [`crate::A::two`]."),
        ] {
            docs.sections.insert(item.to_owned(), text.to_owned());
            if let Some((_, name)) = item.split_once("::") {
                docs.methods.insert(name.to_owned(), item.to_owned());
            }
        }
        let codes = |item: &str| docs.codes(item, &[]).into_iter().collect::<Vec<_>>();
        assert_eq!(codes("A::one"), ["NotFound(Execution)", "State(StaleLease)"]);
        assert_eq!(
            codes("A::two"),
            ["NotFound(Execution)", "Validation", "Validation(InvalidInput)", "Validation(PayloadTooLarge)"]
        );
    }
}

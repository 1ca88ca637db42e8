//! The case files: which cases there are, what they cover and use, and what they may not do.

use std::collections::{BTreeMap, BTreeSet};

use ff_conformance::Control;
use ff_core::{Capability, Operation};
use quote::ToTokens;
use syn::{FnArg, ImplItem, Item, ItemFn, ReturnType, UseTree, Visibility};

use crate::{
    files::{Problems, Tree},
    requirements,
    tokens::Uses,
};

/// The files that hold cases, in the order of the registry: the stems of the contract, then what belongs to no stem.
const CASE_FILES: &[&str] = &[
    "executions",
    "idempotency",
    "payloads",
    "snapshots",
    "pages",
    "tags",
    "cancellations",
    "replays",
    "attempts",
    "delays",
    "histories",
    "retries",
    "backoffs",
    "deadlines",
    "time_limits",
    "leases",
    "fences",
    "reclaims",
    "revocations",
    "claims",
    "routing",
    "grants",
    "redemptions",
    "void_grants",
    "explanations",
    "priorities",
    "worker_capabilities",
    "promotions",
    "waits",
    "batches",
    "claim_batches",
    "held_batches",
    "hand_overs",
    "together",
    "waitpoints",
    "suspends",
    "pending_waitpoints",
    "signals",
    "suspension_timeouts",
    "tokens",
    "waitpoint_faults",
    "scanners",
    "retention",
    "subscriptions",
    "arguments",
    "errors",
    "refusals",
    "capabilities",
    "boot",
    "loops",
    "holds",
    "clocks",
    "kills",
    "durability",
    "round_trips",
    "passes",
    "steering",
];

/// Words that a case may not use, and why.
const REFUSED: [(&str, &str); 5] = [
    ("sleep", "a case waits for a condition: `cx.eventually`"),
    ("Instant", "time is the store's: `cx.now`"),
    ("SystemTime", "time is the store's: `cx.now`"),
    ("panic", "a case answers with a `Verdict`; `check!` does so"),
    ("unwrap", "a case answers with a `Verdict`: `?`"),
];

/// Backends that no case may name.
const BACKENDS: [&str; 3] = ["postgres", "valkey", "redis"];

/// One case, as its source tells.
pub(crate) struct CaseSource {
    file: String,
    line: usize,
    /// The concept: the name of its file.
    pub(crate) stem: String,
    /// Its name.
    pub(crate) name: String,
    /// The first sentence of its docs.
    pub(crate) summary: String,
    /// The requirements of its `Covers` line.
    pub(crate) covers: Vec<String>,
    /// What the backend must be able to do.
    pub(crate) needs: BTreeSet<Capability>,
    /// What the suite must be able to do to the store.
    pub(crate) controls: BTreeSet<Control>,
    own: Uses,
    /// True if a check stands in the case or in a function of the suite that it calls.
    checks: bool,
}

/// A function of the suite.
struct Function {
    /// Its file below `src`, without the ending.
    module: String,
    item: ItemFn,
    uses: Uses,
}

/// All cases, in the order of the files and of their source.
pub(crate) fn read(tree: &Tree) -> (Vec<CaseSource>, Problems) {
    let (mut graph, mut problems) = (Graph::default(), Problems::new());
    for (path, text) in tree.suite() {
        let module = path.trim_start_matches("ff-conformance/src/").trim_end_matches(".rs");
        match syn::parse_file(text) {
            Ok(file) => file.items.into_iter().for_each(|item| graph.collect(item, module)),
            Err(error) => problems.push(format!("{path}: {error}")),
        }
    }
    let mut cases = Vec::new();
    for stem in CASE_FILES {
        let file = format!("ff-conformance/src/{stem}.rs");
        if tree.text(&file).is_none() {
            problems.push(format!("{file} is listed in tests/tidy/cases.rs and does not exist"));
        }
        let own = graph.functions.iter().filter(|function| function.module == *stem && is_case(&function.item));
        cases.extend(own.map(|function| graph.case(function, file.clone())));
    }
    (cases, problems)
}

/// `pub async fn name(cx: &Cx) -> Verdict`.
fn is_case(item: &ItemFn) -> bool {
    let answers_verdict = match &item.sig.output {
        ReturnType::Type(_, answer) => answer.to_token_stream().to_string() == "Verdict",
        ReturnType::Default => false,
    };
    let takes_context = match item.sig.inputs.first() {
        Some(FnArg::Typed(argument)) => argument.ty.to_token_stream().to_string() == "& Cx",
        _ => false,
    };
    let public = matches!(item.vis, Visibility::Public(_));
    public && item.sig.asyncness.is_some() && item.sig.inputs.len() == 1 && takes_context && answers_verdict
}

/// Who calls whom in the suite.
#[derive(Default)]
struct Graph {
    functions: Vec<Function>,
    /// What methods of the context use of each other.
    context: BTreeMap<String, Uses>,
    /// The module that a file takes a name from, by file and name.
    imports: BTreeMap<(String, String), String>,
}

/// What can be reached from a function.
#[derive(Default)]
struct Reached {
    functions: BTreeSet<(String, String)>,
    methods: BTreeSet<String>,
    checks: bool,
}

impl Graph {
    fn collect(&mut self, item: Item, module: &str) {
        match item {
            Item::Fn(item) => {
                let uses = Uses::of(item.block.to_token_stream());
                self.functions.push(Function { module: module.to_owned(), item, uses });
            }
            Item::Impl(item) if item.trait_.is_none() && item.self_ty.to_token_stream().to_string() == "Cx" => {
                for part in item.items {
                    if let ImplItem::Fn(method) = part {
                        self.context.insert(method.sig.ident.to_string(), Uses::of(method.block.to_token_stream()));
                    }
                }
            }
            Item::Use(item) => self.import(&item.tree, module, ""),
            _ => {}
        }
    }

    /// Notes the names that `module` takes from the module `from`.
    fn import(&mut self, tree: &UseTree, module: &str, from: &str) {
        match tree {
            UseTree::Path(path) => self.import(&path.tree, module, &path.ident.to_string()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, module, from)),
            UseTree::Name(name) => {
                self.imports.insert((module.to_owned(), name.ident.to_string()), from.to_owned());
            }
            // No case file takes names so.
            UseTree::Rename(_) | UseTree::Glob(_) => {}
        }
    }

    fn case(&self, function: &Function, file: String) -> CaseSource {
        let docs = docs(&function.item);
        let mut reached = Reached::default();
        self.follow(&function.module, &function.uses, &mut reached);
        let calls = Operation::ALL.iter().filter(|op| reached.methods.contains(op.as_str()));
        let named = Capability::ALL.iter().copied().filter(|need| docs.needs.iter().any(|word| word == need.as_str()));
        CaseSource {
            file,
            line: function.item.sig.ident.span().start().line,
            stem: function.module.clone(),
            name: function.item.sig.ident.to_string(),
            summary: docs.summary,
            covers: docs.covers,
            needs: calls.filter_map(|&op| Capability::of(op)).chain(named).collect(),
            controls: self.controls(&reached.methods),
            own: function.uses.clone(),
            checks: reached.checks,
        }
    }

    /// Notes every method that is called from here, through functions of the suite.
    fn follow(&self, module: &str, uses: &Uses, reached: &mut Reached) {
        // What is called only where the backend offers it needs no capability.
        let calls = uses.methods.iter().filter(|method| !uses.offered.contains(*method));
        reached.methods.extend(calls.cloned());
        reached.checks |= !uses.checks.is_empty();
        for (qualifier, name) in &uses.functions {
            for target in self.targets(module, qualifier.as_deref(), name) {
                if reached.functions.insert((target.module.clone(), name.clone())) {
                    self.follow(&target.module, &target.uses, reached);
                }
            }
        }
    }

    /// The functions that a call means: of the named module, else of this one, else of the one it is taken from.
    fn targets(&self, module: &str, qualifier: Option<&str>, name: &str) -> Vec<&Function> {
        let of = |module: &str| {
            let own = self.functions.iter().filter(|function| function.item.sig.ident == name);
            own.filter(|function| is_named(&function.module, module)).collect::<Vec<_>>()
        };
        let taken = || self.imports.get(&(module.to_owned(), name.to_owned())).map(|from| of(from));
        match qualifier.filter(|word| !matches!(*word, "self" | "crate")) {
            Some(qualifier) => of(qualifier),
            None => Some(of(module)).filter(|own| !own.is_empty()).or_else(taken).unwrap_or_default(),
        }
    }

    /// The controls behind `methods`, through the methods of the context.
    fn controls(&self, methods: &BTreeSet<String>) -> BTreeSet<Control> {
        let own = |method: &&String| self.context.contains_key(*method);
        let mut reached: BTreeSet<String> = methods.iter().filter(own).cloned().collect();
        loop {
            let called = reached.iter().filter_map(|method| self.context.get(method)).flat_map(|uses| &uses.methods);
            let more: BTreeSet<String> = called.filter(own).cloned().collect();
            if more.is_subset(&reached) {
                break;
            }
            reached.extend(more);
        }
        reached.iter().filter_map(|method| control(method)).collect()
    }
}

/// True if `name` is the module of that file, or its last word.
fn is_named(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// The control that a method of the context needs.
fn control(method: &str) -> Option<Control> {
    match method {
        "clock" => Some(Control::Clock),
        "dump" => Some(Control::Dump),
        "hold" => Some(Control::Hold),
        "server" => Some(Control::Server),
        method if method.starts_with("proxied") => Some(Control::Address),
        _ => None,
    }
}

#[derive(Default)]
struct Docs {
    summary: String,
    covers: Vec<String>,
    needs: Vec<String>,
}

fn docs(item: &ItemFn) -> Docs {
    let line = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = item.attrs.iter().filter_map(line).collect();
    let summary: Vec<_> = lines.iter().take_while(|line| !line.is_empty()).map(String::as_str).collect();
    let text = lines.join("\n");
    Docs { summary: summary.join(" "), covers: listed(&text, "Covers "), needs: listed(&text, "Needs ") }
}

/// The words between `begin` and the end of its sentence, separated by commas or `and`.
fn listed(text: &str, begin: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once(begin) else { return Vec::new() };
    let sentence = rest.split('.').next().unwrap_or_default().replace('\n', " ").replace(" and ", ", ");
    sentence.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// What is wrong with the cases.
pub(crate) fn check(tree: &Tree) -> Problems {
    let (cases, mut problems) = read(tree);
    let (requirements, _) = requirements::read(tree);
    let known: BTreeSet<_> = requirements.iter().map(|requirement| requirement.id.as_str()).collect();
    let mut names = BTreeMap::new();
    for case in &cases {
        let mut bad = |text: String| problems.push(format!("{}:{}: {}: {text}", case.file, case.line, case.name));
        if let Some(other) = names.insert(&case.name, &case.file) {
            bad(format!("{other} has a case of that name"));
        }
        if !case.summary.ends_with('.') {
            bad("the docs begin with one sentence that says what the case shows".to_owned());
        }
        if case.covers.is_empty() {
            bad("no line `Covers FF-XXX-NNN.`".to_owned());
        }
        if !case.checks {
            bad("no `check!`".to_owned());
        }
        if case.own.returns_before_check {
            bad("`return Ok(())` before the first `check!`".to_owned());
        }
        for id in case.own.checks.iter().filter(|id| !case.covers.contains(id)) {
            bad(format!("checks {id}, which its `Covers` line does not name"));
        }
        for word in &case.own.words {
            if let Some(reason) = refused(word) {
                bad(format!("uses `{word}`: {reason}"));
            }
        }
    }
    problems.extend(unprobed(&cases));
    let covered = cases.iter().flat_map(|case| case.covers.iter().map(|id| (case.file.as_str(), id.clone())));
    problems.extend(unknown(tree, covered.collect(), &known));
    problems
}

/// Gated operations that no case asks for on a backend that does not declare them.
fn unprobed(cases: &[CaseSource]) -> Problems {
    let mut problems = Problems::new();
    for op in Operation::ALL.iter().filter(|&&op| Capability::of(op).is_some()) {
        let name = format!("{op}_works_or_is_denied");
        let found = cases.iter().find(|case| case.stem == "capabilities" && case.name == name);
        if !found.is_some_and(|case| case.needs.is_empty()) {
            problems.push(format!("ff-conformance/src/capabilities.rs: no case `{name}` that needs no capability"));
        }
    }
    problems
}

/// Why a word may not stand in a case.
fn refused(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    if BACKENDS.iter().any(|backend| lower.contains(backend)) || word == "\"memory\"" {
        return Some("a case knows no backend");
    }
    REFUSED.iter().find(|(refused, _)| word == *refused).map(|(_, reason)| *reason)
}

/// Ids that a case covers, or that a check of a case or helper names, and that no requirement has.
fn unknown<'a>(tree: &'a Tree, mut named: BTreeSet<(&'a str, String)>, known: &BTreeSet<&str>) -> Problems {
    for (path, text) in tree.suite() {
        let checks = text.parse().map(|tokens| Uses::of(tokens).checks).unwrap_or_default();
        named.extend(checks.into_iter().filter(|id| id.starts_with("FF-")).map(|id| (path, id)));
    }
    let unknown = named.iter().filter(|(_, id)| !known.contains(id.as_str()));
    unknown.map(|(path, id)| format!("{path}: names {id}, which requirements.toml does not have")).collect()
}

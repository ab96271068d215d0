//! Reads a crate's modules and every path in them, and resolves each path to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Name of a module from the crate's root: empty for the root itself.
pub(crate) type Name = Vec<String>;

/// One path in the source, as written.
struct Mention {
    module: Name,
    path: Vec<String>,
    line: usize,
    /// The name under which a `pub use` re-exports the item.
    handed_on: Option<String>,
}

#[derive(Default)]
struct Module {
    /// The module whose file this is: an inline module has the file of its parent.
    file: Name,
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    /// Names in scope, each with the path of its import.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// First words of the paths in the module's code.
    spoken: BTreeSet<String>,
}

/// An import from one file of a crate into another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub from: Name,
    pub to: Name,
    pub line: usize,
    /// The path as written.
    pub path: String,
}

/// A crate, without code that is compiled only for tests.
#[derive(Default)]
pub(crate) struct Crate {
    modules: BTreeMap<Name, Module>,
    mentions: Vec<Mention>,
    /// The crate's own documentation.
    pub docs: String,
}

impl Crate {
    /// Reads the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut this = Self::default();
        let folder = root.parent().expect("a file is in a folder");
        this.read_file(root, folder, Vec::new());
        this
    }

    /// Reads a crate of one file, whose modules are inline and count as files of their own.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        let mut this = Self::default();
        let file = syn::parse_file(text).expect("the text is Rust");
        this.docs = docs(&file.attrs);
        Reader { found: &mut this, at: Vec::new(), file: Vec::new(), folder: PathBuf::new(), inline: true }
            .module(&file.items);
        this
    }

    fn read_file(&mut self, path: &Path, folder: &Path, at: Name) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if at.is_empty() {
            self.docs = docs(&file.attrs);
        }
        Reader { found: self, at: at.clone(), file: at, folder: folder.into(), inline: false }
            .module(&file.items);
    }

    /// Returns the modules that have a file.
    pub(crate) fn files(&self) -> BTreeSet<Name> {
        self.modules.values().map(|module| module.file.clone()).collect()
    }

    /// Returns every import from one file into another, in order.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut all: Vec<Import> = self.mentions.iter().filter_map(|mention| self.import(mention)).collect();
        all.sort();
        all.dedup();
        all
    }

    fn import(&self, mention: &Mention) -> Option<Import> {
        if self.counted_by_its_use(mention) || self.only_handed_on(mention) {
            return None;
        }
        let from = &self.modules[&mention.module].file;
        let to = &self.modules[&self.resolve(&mention.module, &mention.path, 0)?].file;
        let path = mention.path.join("::");
        (from != to).then(|| Import { from: from.clone(), to: to.clone(), line: mention.line, path })
    }

    /// Returns whether a path begins with an imported type: `Kind::One` is not another import.
    fn counted_by_its_use(&self, mention: &Mention) -> bool {
        let Some(import) = self.modules[&mention.module].imports.get(&mention.path[0]) else { return false };
        let imported = self.resolve(&mention.module, import, 0);
        imported.is_some_and(|module| import.last() != module.last())
    }

    /// Returns whether a `pub use` only re-exports an item of a module below, and this module does not use the item itself.
    fn only_handed_on(&self, mention: &Mention) -> bool {
        let module = &self.modules[&mention.module];
        let below = module.children.contains(&mention.path[0]);
        mention.handed_on.as_ref().is_some_and(|name| below && !module.spoken.contains(name))
    }

    /// Returns the module that defines the item of a path, or `None` for an item of another crate. Re-exports are followed.
    fn resolve(&self, here: &Name, path: &[String], depth: usize) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let parent = || Some(here[..here.len().checked_sub(1)?].to_vec());
        match first.as_str() {
            "crate" => self.walk(Vec::new(), rest, depth),
            "self" => self.walk(here.clone(), rest, depth),
            "super" => {
                let supers = rest.iter().take_while(|word| *word == "super").count();
                let mut at = parent()?;
                for _ in 0..supers {
                    at.pop()?;
                }
                self.walk(at, &rest[supers..], depth)
            }
            name => {
                let module = &self.modules[here];
                let known = module.children.contains(name) || module.imports.contains_key(name);
                if known { self.walk(here.clone(), path, depth) } else { None }
            }
        }
    }

    fn walk(&self, mut at: Name, path: &[String], depth: usize) -> Option<Name> {
        if depth > 16 {
            return None;
        }
        for (index, name) in path.iter().enumerate() {
            let module = &self.modules[&at];
            if module.children.contains(name) {
                at.push(name.clone());
                continue;
            }
            let rest = &path[index + 1..];
            if module.items.contains(name) {
                return Some(at);
            }
            if let Some(import) = module.imports.get(name) {
                let whole: Vec<String> = import.iter().chain(rest).cloned().collect();
                return self.resolve(&at, &whole, depth + 1);
            }
            for glob in &module.globs {
                let whole: Vec<String> = glob.iter().chain(&path[index..]).cloned().collect();
                let found = self.resolve(&at, &whole, depth + 1);
                if let Some(found) = found.filter(|found| self.modules[found].items.contains(name)) {
                    return Some(found);
                }
            }
            return Some(at);
        }
        Some(at)
    }
}

struct Reader<'a> {
    found: &'a mut Crate,
    at: Name,
    file: Name,
    folder: PathBuf,
    /// Whether an inline module counts as a file.
    inline: bool,
}

impl Reader<'_> {
    fn module(&mut self, items: &[syn::Item]) {
        self.found.modules.entry(self.at.clone()).or_default().file = self.file.clone();
        for item in items {
            self.visit_item(item);
        }
    }

    fn this(&mut self) -> &mut Module {
        self.found.modules.get_mut(&self.at).expect("the module was entered")
    }

    fn mention(&mut self, path: Vec<String>, line: usize) {
        self.found.mentions.push(Mention { module: self.at.clone(), path, line, handed_on: None });
    }

    fn child(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        self.this().children.insert(name.clone());
        let mut at = self.at.clone();
        at.push(name.clone());
        let folder = self.folder.join(&name);
        match &item.content {
            Some((_, items)) => {
                let file = if self.inline { at.clone() } else { self.file.clone() };
                Reader { found: self.found, at, file, folder, inline: self.inline }.module(items);
            }
            None => self.found.read_file(&folder.with_extension("rs"), &folder, at),
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>, public: bool) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, public);
                path.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, path, public)),
            syn::UseTree::Glob(star) => {
                self.this().globs.push(path.clone());
                self.mention(path.clone(), star.star_token.spans[0].start().line);
            }
            syn::UseTree::Name(name) => self.import(&name.ident, &name.ident, path, public),
            syn::UseTree::Rename(renamed) => self.import(&renamed.ident, &renamed.rename, path, public),
        }
    }

    fn import(&mut self, ident: &syn::Ident, name: &syn::Ident, path: &[String], public: bool) {
        let mut whole = path.to_vec();
        let mut name = name.to_string();
        if ident == "self" {
            if name == "self" {
                name = path.last().cloned().unwrap_or_default();
            }
        } else {
            whole.push(ident.to_string());
        }
        // `use child;` has the name of the module itself, and items of other crates need no resolving.
        if whole != [name.clone()] {
            self.this().imports.insert(name.clone(), whole.clone());
        }
        let line = ident.span().start().line;
        let handed_on = public.then_some(name);
        self.found.mentions.push(Mention { module: self.at.clone(), path: whole, line, handed_on });
    }

    /// Reads the paths in a macro's arguments, which `syn` does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.spoken(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.spoken(&mut path, line);
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Literal(literal) => self.named_in_text(&literal),
                        _ => {}
                    }
                }
            }
        }
        self.spoken(&mut path, line);
    }

    /// Reads the path in serde's `with = "crate::..."`.
    fn named_in_text(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let text = text.trim_matches('"');
        if text.starts_with("crate::") || text.starts_with("super::") {
            let path = text.split("::").map(str::to_owned).collect();
            self.mention(path, literal.span().start().line);
        }
    }

    fn spoken(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if let Some(first) = path.first() {
            self.this().spoken.insert(first.clone());
        }
        if path.len() > 1 {
            self.mention(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attrs, ident) = parts(item);
        if for_tests(attrs) {
            return;
        }
        if let Some(ident) = ident {
            self.this().items.insert(ident.to_string());
        }
        match item {
            syn::Item::Mod(item) => self.child(item),
            syn::Item::Use(item) => {
                let public = !matches!(item.vis, syn::Visibility::Inherited);
                self.tree(&item.tree, &mut Vec::new(), public);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        let attrs: &[syn::Attribute] = match statement {
            syn::Stmt::Local(local) => &local.attrs,
            syn::Stmt::Macro(call) => &call.attrs,
            syn::Stmt::Expr(syn::Expr::Call(call), _) => &call.attrs,
            syn::Stmt::Expr(syn::Expr::MethodCall(call), _) => &call.attrs,
            syn::Stmt::Expr(syn::Expr::Block(block), _) => &block.attrs,
            _ => &[],
        };
        if !for_tests(attrs) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.this().spoken.insert(path.segments[0].ident.to_string());
        // A single word is a local name, or was imported by a `use` that is counted itself.
        if path.segments.len() > 1 {
            let words = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.mention(words, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    // `pub(in crate::room)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn for_tests(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::NameValue(_) => false,
    })
}

fn parts(item: &syn::Item) -> (&[syn::Attribute], Option<&syn::Ident>) {
    use syn::Item;
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

fn docs(attrs: &[syn::Attribute]) -> String {
    let mut lines = String::new();
    for attr in attrs {
        let syn::Meta::NameValue(pair) = &attr.meta else { continue };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { continue };
        if pair.path.is_ident("doc") {
            lines.push_str(&text.value());
            lines.push('\n');
        }
    }
    lines
}

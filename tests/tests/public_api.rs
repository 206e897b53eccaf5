//! What `zct-wire` and `zct-engine` offer to others stands in `docs/api`, so that nobody changes it unawares:
//! `ZCT_GOLDEN=write cargo test -p zct-tests --test public_api` renews the lists, and the difference is read
//! like any other.
//!
//! The lists come from the sources, without a nightly compiler or a tool to install. That is enough because
//! rustc's `unreachable_pub` refuses what is `pub` and cannot be reached.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Block, Expr, Field, Fields, File, ImplItem, Item, ItemImpl, ItemMod, Meta, TraitItem, Type,
    Visibility, parse_quote,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The files of a crate with their items, in the order in which `lib.rs` names them.
fn files(file: &Path, dir: &Path, found: &mut Vec<(PathBuf, File)>) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let modules: Vec<String> = parsed
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Mod(m) if m.content.is_none() && !for_tests(&m.attrs) => Some(m.ident.to_string()),
            _ => None,
        })
        .collect();
    found.push((file.to_owned(), parsed));
    for name in modules {
        let (alone, inside) = (dir.join(format!("{name}.rs")), dir.join(&name));
        let file = if alone.exists() { alone } else { inside.join("mod.rs") };
        files(&file, &inside, found);
    }
}

fn for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|a| match &a.meta {
        Meta::List(l) => {
            l.path.is_ident("cfg") && ["test", "doctest"].contains(&l.tokens.to_string().as_str())
        }
        _ => false,
    })
}

/// Attributes that users notice, which documentation and lints are not.
fn visible_attrs(attrs: &mut Vec<Attribute>) {
    attrs.retain(|a| ["cfg", "derive", "non_exhaustive", "repr"].iter().any(|n| a.path().is_ident(n)));
}

fn is_pub(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// A value that is written as it is stays, since it is part of a constant's meaning; a computed one goes.
fn value(expr: &mut Expr) {
    if !matches!(expr, Expr::Lit(_)) {
        *expr = parse_quote!(_);
    }
}

/// Private members become one `_`: whether there are any decides who can make a value of the type.
fn fields(fields: &mut Fields) {
    let keep = |all: &mut Punctuated<Field, syn::Token![,]>, private: Field| {
        let hidden = all.iter().any(|f| !is_pub(&f.vis));
        *all = std::mem::take(all).into_iter().filter(|f| is_pub(&f.vis)).collect();
        all.iter_mut().for_each(|f| f.attrs.clear());
        if hidden {
            all.push(private);
        }
    };
    match fields {
        Fields::Named(f) => keep(&mut f.named, parse_quote!(private: _)),
        Fields::Unnamed(f) => keep(&mut f.unnamed, parse_quote!(_)),
        Fields::Unit => {}
    }
}

/// The tokens without doc comments, which are `#[doc = "\u{2026}"]` by now.
fn undocumented(tokens: TokenStream) -> TokenStream {
    let mut rest = tokens.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(token) = rest.next() {
        let doc = |next: &TokenTree| next.to_string().replace(' ', "").starts_with("[doc=");
        match token {
            TokenTree::Punct(p) if p.as_char() == '#' && rest.next_if(doc).is_some() => {}
            TokenTree::Group(g) => {
                let inner = undocumented(g.stream());
                kept.push(proc_macro2::Group::new(g.delimiter(), inner).into());
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

/// The name of a type without its path and parameters.
fn name_of(t: &Type) -> String {
    match t {
        Type::Path(p) => p.path.segments.last().map_or_else(String::new, |s| s.ident.to_string()),
        Type::Reference(r) => name_of(&r.elem),
        _ => String::new(),
    }
}

/// What others see of an implementation: of a trait's, that it exists.
fn implementation(i: &mut ItemImpl, public: &BTreeSet<String>) -> bool {
    if for_tests(&i.attrs) || !public.contains(&name_of(&i.self_ty)) {
        return false;
    }
    visible_attrs(&mut i.attrs);
    let of_trait = i.trait_.is_some();
    i.items.retain_mut(|item| match item {
        ImplItem::Fn(f) => {
            f.attrs.clear();
            f.block = empty();
            is_pub(&f.vis)
        }
        ImplItem::Const(c) => {
            c.attrs.clear();
            value(&mut c.expr);
            is_pub(&c.vis)
        }
        ImplItem::Type(t) => {
            t.attrs.clear();
            true
        }
        _ => false,
    });
    of_trait || !i.items.is_empty()
}

fn empty() -> Block {
    parse_quote!({})
}

/// Takes out of `items` what others do not see, and leaves whether something remains.
fn visible(items: &mut Vec<Item>, public: &BTreeSet<String>) {
    items.retain_mut(|item| {
        let (attrs, seen) = match item {
            Item::Const(i) => {
                value(&mut i.expr);
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Static(i) => {
                value(&mut i.expr);
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Enum(i) => {
                for v in &mut i.variants {
                    visible_attrs(&mut v.attrs);
                    v.fields.iter_mut().for_each(|f| f.attrs.clear());
                }
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Fn(i) => {
                *i.block = empty();
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Mod(ItemMod { attrs, vis, content: Some((_, inner)), .. }) => {
                visible(inner, public);
                (attrs, is_pub(vis) && !inner.is_empty())
            }
            Item::Mod(i) => (&mut i.attrs, is_pub(&i.vis)),
            Item::Struct(i) => {
                fields(&mut i.fields);
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Trait(i) => {
                for item in &mut i.items {
                    if let TraitItem::Fn(f) = item {
                        f.attrs.clear();
                        f.default = f.default.as_ref().map(|_| empty());
                    }
                }
                (&mut i.attrs, is_pub(&i.vis))
            }
            Item::Type(i) => (&mut i.attrs, is_pub(&i.vis)),
            Item::Use(i) => (&mut i.attrs, is_pub(&i.vis)),
            Item::Impl(i) => return implementation(i, public),
            // The groups of constants: what the macro is told says everything.
            Item::Macro(i) if i.ident.is_none() => {
                i.attrs.clear();
                i.mac.tokens = undocumented(i.mac.tokens.clone());
                return true;
            }
            _ => return false,
        };
        let seen = seen && !for_tests(attrs);
        visible_attrs(attrs);
        seen
    });
}

/// The names of the types that are `pub`, at any depth.
fn public_types(items: &[Item], found: &mut BTreeSet<String>) {
    for item in items {
        let (vis, name) = match item {
            Item::Struct(i) => (&i.vis, &i.ident),
            Item::Enum(i) => (&i.vis, &i.ident),
            Item::Type(i) => (&i.vis, &i.ident),
            Item::Trait(i) => (&i.vis, &i.ident),
            Item::Mod(ItemMod { content: Some((_, inner)), attrs, .. }) if !for_tests(attrs) => {
                public_types(inner, found);
                continue;
            }
            _ => continue,
        };
        if is_pub(vis) {
            found.insert(name.to_string());
        }
    }
}

/// Everything that is public in `room`, as Rust without bodies, file by file.
fn listing(room: &str) -> String {
    let src = root().join(room).join("src");
    let mut all = Vec::new();
    files(&src.join("lib.rs"), &src, &mut all);
    let mut public = BTreeSet::new();
    all.iter().for_each(|(_, f)| public_types(&f.items, &mut public));
    let mut text = format!(
        "// What zct-{room} offers to others. Made from its sources:\n\
         // ZCT_GOLDEN=write cargo test -p zct-tests --test public_api\n"
    );
    for (path, mut file) in all {
        file.attrs.clear();
        visible(&mut file.items, &public);
        if !file.items.is_empty() {
            let path = path.strip_prefix(root()).expect("below the root").display();
            text += &format!("\n// {path}\n\n{}", prettyplease::unparse(&file));
        }
    }
    text
}

#[test]
fn what_others_build_on_is_written_down() {
    for room in ["wire", "engine"] {
        let (now, file) = (listing(room), root().join(format!("docs/api/zct-{room}.txt")));
        if std::env::var_os("ZCT_GOLDEN").is_some_and(|v| v == "write") {
            fs::write(&file, &now).expect("the list");
        }
        let recorded = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let (new, old): (Vec<_>, Vec<_>) = (now.lines().collect(), recorded.lines().collect());
        let (new_set, old_set): (BTreeSet<_>, BTreeSet<_>) = (new.iter().collect(), old.iter().collect());
        assert!(
            now == recorded,
            "the public part of zct-{room} is not what docs/api says.\nnew: {:#?}\ngone: {:#?}\nIf that is meant, and \
             the version allows it: ZCT_GOLDEN=write cargo test -p zct-tests --test public_api",
            new_set.difference(&old_set),
            old_set.difference(&new_set),
        );
    }
}

#[test]
fn a_listing_has_what_others_see_and_nothing_else() {
    let mut file: File = parse_quote! {
        /// Text.
        #[derive(Clone)]
        #[must_use]
        pub struct Seen { pub a: u8, b: u16 }
        struct Hidden;
        impl Hidden { pub fn never(&self) {} }
        impl Seen {
            pub fn method(&self) -> u8 { self.a }
            fn helper(&self) {}
        }
        impl Default for Seen { fn default() -> Self { Seen { a: 1, b: 2 } } }
        pub const SEVEN: u8 = 7;
        pub(crate) fn inside() {}
        #[cfg(test)]
        pub mod tests { pub fn test() {} }
    };
    let mut public = BTreeSet::new();
    public_types(&file.items, &mut public);
    visible(&mut file.items, &public);
    let wanted: File = parse_quote! {
        #[derive(Clone)]
        pub struct Seen { pub a: u8, private: _ }
        impl Seen { pub fn method(&self) -> u8 {} }
        impl Default for Seen {}
        pub const SEVEN: u8 = 7;
    };
    assert_eq!(prettyplease::unparse(&file), prettyplease::unparse(&wanted));
}

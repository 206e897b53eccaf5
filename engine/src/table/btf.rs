//! BTF: what a kernel says about its own structures (bpf-table.md §2). Only what the reader needs: where the
//! members of a structure are, the values of an enumeration, and the numbers of functions.
//!
//! A module has a file of its own, whose numbers continue those of the kernel's.

/// `struct btf_header` (linux/btf.h) starts with this number in host byte order.
const MAGIC: u16 = 0xeb9f;

// BTF_KIND_* (linux/btf.h).
const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Size of `struct btf_type`, which starts every type.
const TYPE: usize = 12;

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Bytes from the beginning of the structure that the path started in.
    pub(crate) at: usize,
    /// The number of its type.
    pub(crate) of: u32,
}

/// One BTF file. A module's continues the kernel's own, which is then its base.
#[derive(Debug)]
pub(crate) struct Btf<'b> {
    base: Option<&'b Btf<'b>>,
    data: Vec<u8>,
    /// Where the strings are, from the beginning of the file.
    strings: usize,
    /// Length of the strings, those of the base included.
    strings_end: usize,
    /// Where the strings of this file begin in the numbering of all.
    strings_first: usize,
    /// The number of the first type of this file.
    first: u32,
    /// Where each type is, from the beginning of the file.
    types: Vec<u32>,
    /// Types of the kinds that are looked up by name: structures, enumerations and functions.
    named: Vec<u32>,
}

impl<'b> Btf<'b> {
    /// Reads a file as it is in `/sys/kernel/btf`; `None` for anything that is not a BTF file of this
    /// machine's byte order.
    ///
    /// # Allocation
    /// Keeps the file, and four bytes for each type.
    pub(crate) fn parse(data: Vec<u8>, base: Option<&'b Btf<'b>>) -> Option<Btf<'b>> {
        if u16_at(&data, 0)? != MAGIC {
            return None;
        }
        let header = u32_at(&data, 4)? as usize;
        let part =
            |at| Some((header.checked_add(u32_at(&data, at)? as usize)?, u32_at(&data, at + 4)? as usize));
        let (mut at, types_len) = part(8)?;
        let (strings, strings_len) = part(16)?;
        let end = at.checked_add(types_len)?;
        let strings_first = base.map_or(0, |b| b.strings_end);
        let mut types = Vec::with_capacity(types_len / 24);
        let mut named = Vec::new();
        let first = base.map_or(1, |b| b.first.saturating_add(b.types.len() as u32));
        while at < end {
            let info = u32_at(&data, at + 4)?;
            if matches!(kind(info), KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_FUNC) {
                named.push(types.len() as u32);
            }
            types.push(u32::try_from(at).ok()?);
            at = at.checked_add(TYPE + extra(info)?)?;
        }
        let strings_end = strings_first.checked_add(strings_len)?;
        data.get(strings..strings.checked_add(strings_len)?)?;
        Some(Btf { base, data, strings, strings_end, strings_first, first, types, named })
    }

    /// The bytes of a type from its beginning to the end of the file, and the file that has it.
    fn find(&self, id: u32) -> Option<(&Btf<'b>, &[u8])> {
        if id < self.first {
            return self.base?.find(id);
        }
        let at = *self.types.get((id - self.first) as usize)?;
        Some((self, self.data.get(at as usize..)?))
    }

    fn string(&self, at: u32) -> &[u8] {
        let at = at as usize;
        if at < self.strings_first {
            return self.base.map_or(&[], |b| b.string(at as u32));
        }
        let from = self.strings.saturating_add(at - self.strings_first);
        let rest = self.data.get(from..).unwrap_or_default();
        rest.get(..memchr::memchr(0, rest).unwrap_or(0)).unwrap_or_default()
    }

    /// Numbers of the types with these names, in their order; 0 where there is none, which is `void`.
    /// Structures and unions, enumerations, functions.
    pub(crate) fn ids<const N: usize>(&self, names: [&str; N]) -> [u32; N] {
        let mut found = [0; N];
        for index in &self.named {
            let Some(at) = self.types.get(*index as usize) else { continue };
            let name = u32_at(&self.data, *at as usize).unwrap_or(0);
            if name == 0 {
                continue;
            }
            let name = self.string(name);
            for (want, id) in names.iter().zip(&mut found) {
                if *id == 0 && want.as_bytes() == name {
                    *id = self.first.saturating_add(*index);
                }
            }
        }
        found
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> u32 {
        // No real chain is this long, but that of a damaged file could be a circle.
        for _ in 0..32 {
            let Some((_, t)) = self.find(id) else { return 0 };
            let (Some(info), Some(next)) = (u32_at(t, 4), u32_at(t, 8)) else { return 0 };
            match kind(info) {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => id = next,
                _ => return id,
            }
        }
        0
    }

    /// The size of a structure, union, number or array in bytes.
    pub(crate) fn size(&self, id: u32) -> Option<usize> {
        let (_, t) = self.find(self.bare(id))?;
        match kind(u32_at(t, 4)?) {
            KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 => Some(u32_at(t, 8)? as usize),
            KIND_ARRAY => self.size(u32_at(t, TYPE)?)?.checked_mul(u32_at(t, TYPE + 8)? as usize),
            // All others that a member can have are pointers.
            _ => Some(size_of::<usize>()),
        }
    }

    /// Finds a member by its path, as in C: `dst.u3`. Members of structures without a name count as members
    /// of what they are in.
    pub(crate) fn member(&self, id: u32, path: &str) -> Option<Member> {
        let mut here = Member { at: 0, of: id };
        for name in path.split('.') {
            let inside = self.member_named(here.of, name.as_bytes(), 0)?;
            here = Member { at: here.at.checked_add(inside.at)?, of: inside.of };
        }
        Some(here)
    }

    fn member_named(&self, id: u32, name: &[u8], depth: u8) -> Option<Member> {
        let (file, t) = self.find(self.bare(id))?;
        let info = u32_at(t, 4)?;
        if !matches!(kind(info), KIND_STRUCT | KIND_UNION) || depth > 8 {
            return None;
        }
        for m in t.get(TYPE..)?.chunks_exact(12).take(vlen(info)) {
            let (m_name, of, offset) = (u32_at(m, 0)?, u32_at(m, 4)?, u32_at(m, 8)?);
            // With the flag set, the upper byte is the width of a bit field.
            let bits = if info >> 31 == 1 { offset & 0xff_ffff } else { offset };
            let at = (bits / 8) as usize;
            if m_name == 0 {
                if let Some(inside) = self.member_named(of, name, depth + 1) {
                    return Some(Member { at: at.checked_add(inside.at)?, of: inside.of });
                }
            } else if file.string(m_name) == name {
                return Some(Member { at, of });
            }
        }
        None
    }

    /// The value of a name in an enumeration.
    pub(crate) fn enumerator(&self, id: u32, name: &str) -> Option<usize> {
        let (file, t) = self.find(id)?;
        let info = u32_at(t, 4)?;
        (kind(info) == KIND_ENUM).then_some(())?;
        let mut all = t.get(TYPE..)?.chunks_exact(8).take(vlen(info));
        let found = all.find(|e| u32_at(e, 0).is_some_and(|n| file.string(n) == name.as_bytes()))?;
        Some(u32_at(found, 4)? as usize)
    }
}

/// BTF_INFO_KIND.
fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// BTF_INFO_VLEN: how many members, values or parameters follow.
fn vlen(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// How many bytes follow `struct btf_type`; `None` for a kind that is not known here.
fn extra(info: u32) -> Option<usize> {
    Some(match kind(info) {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * vlen(info),
        KIND_ENUM | KIND_FUNC_PROTO => 8 * vlen(info),
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats and tags.
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes a BTF file, for the program's own functions and for tests.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Writer {
    /// The place of a name.
    fn name(&mut self, name: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, name: &str, info: u32, size_or_type: u32, more: &[u32]) -> u32 {
        let name = self.name(name);
        for word in [name, info, size_or_type].iter().chain(more) {
            self.types.extend(word.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    /// A signed number of four bytes.
    pub(crate) fn int(&mut self) -> u32 {
        self.add("int", KIND_INT << 24, 4, &[1 << 24 | 32])
    }

    /// A function with that many parameters of a type, which it also returns.
    pub(crate) fn proto(&mut self, of: u32, params: u32) -> u32 {
        let name = self.name("p");
        let params: Vec<u32> = (0..params).flat_map(|_| [name, of]).collect();
        self.add("", (KIND_FUNC_PROTO << 24) | (params.len() as u32 / 2), of, &params)
    }

    /// A function; `global` is BTF_FUNC_GLOBAL instead of BTF_FUNC_STATIC.
    pub(crate) fn func(&mut self, name: &str, proto: u32, global: bool) -> u32 {
        self.add(name, KIND_FUNC << 24 | u32::from(global), proto, &[])
    }

    /// The file.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        for word in [24, 0, types, types, strings] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(&self.types);
        out.extend(&self.strings);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_paths_in_nameless_structures_and_across_files() {
        let mut w = Writer::default();
        let int = w.int();
        let n = ["u", "v", "inner"].map(|n| w.name(n));
        let inner = w.add("", KIND_UNION << 24 | 2, 8, &[n[0], int, 0, n[1], int, 32]);
        let array = w.add("", KIND_ARRAY << 24, 0, &[int, int, 3]);
        let outer = w.add("outer", KIND_STRUCT << 24 | 2, 20, &[0, inner, 64, n[2], inner, 96]);
        let kinds = w.name("SECOND");
        let e = w.add("kinds", KIND_ENUM << 24 | 1, 4, &[kinds, 7]);
        let base = Btf::parse(w.finish(), None).unwrap();
        assert_eq!(base.ids(["outer", "kinds", "none"]), [outer, e, 0]);
        assert_eq!(base.member(outer, "v").map(|m| m.at), Some(12));
        assert_eq!(base.member(outer, "inner.v").map(|m| (m.at, m.of)), Some((16, int)));
        assert_eq!(base.member(outer, "inner.none"), None);
        assert_eq!(base.size(array), Some(12));
        assert_eq!(base.enumerator(e, "SECOND"), Some(7));

        // A module's types and strings go on where the kernel's end.
        let mut w = Writer { count: e, strings: Vec::new(), types: Vec::new() };
        let name = base.strings_end as u32;
        w.strings.extend(b"late\0");
        for word in [name, KIND_TYPEDEF << 24, outer, name, KIND_STRUCT << 24 | 1, 4, name, e + 1, 0] {
            w.types.extend(word.to_ne_bytes());
        }
        let module = Btf::parse(w.finish(), Some(&base)).unwrap();
        assert_eq!(module.ids(["late", "outer"]), [e + 2, 0]);
        assert_eq!(module.member(e + 2, "late.inner.v").map(|m| m.at), Some(16));
    }

    #[test]
    fn damaged_files_are_refused_and_circles_end() {
        let mut w = Writer::default();
        let int = w.int();
        w.add("round", KIND_CONST << 24, int + 1, &[]);
        let file = w.finish();
        assert_eq!(Btf::parse(file.clone(), None).unwrap().size(int + 1), None);
        for n in 0..file.len() - 1 {
            assert!(Btf::parse(file[..n].to_vec(), None).is_none(), "{n} bytes");
        }
        let mut unknown = file;
        // The second word of the first type.
        unknown[24 + 4..24 + 8].copy_from_slice(&(31u32 << 24).to_ne_bytes());
        assert!(Btf::parse(unknown, None).is_none());
    }
}

//! Names for the options, and sets of them.

/// Every option has a name here. Their order is that of the rows, and of the legality checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the rows of the table say what they are
pub enum Id {
    Src,
    Dst,
    ReplySrc,
    ReplyDst,
    Protonum,
    Timeout,
    Status,
    Zero,
    EventMask,
    TupleSrc,
    TupleDst,
    MaskSrc,
    MaskDst,
    NatRange,
    Mark,
    EntryId,
    Family,
    SrcNat,
    DstNat,
    Output,
    Secmark,
    BufferSize,
    AnyNat,
    Zone,
    Label,
    LabelAdd,
    LabelDel,
    OrigZone,
    ReplyZone,
    Labelmap,
    // Options that the original does not have.
    DryRun,
    KernelFilter,
    Explain,
    Jobs,
    Reader,
    All,
    By,
    Top,
    Sort,
    // Options of protocols, from here on.
    Sport,
    Dport,
    ReplyPortSrc,
    ReplyPortDst,
    MaskPortSrc,
    MaskPortDst,
    TuplePortSrc,
    TuplePortDst,
    State,
    OrigVtag,
    ReplyVtag,
    Role,
    IcmpType,
    IcmpCode,
    IcmpId,
}

impl Id {
    /// True for an option that the original does not have.
    pub fn is_ours(self) -> bool {
        (Id::DryRun as u32..Id::Sport as u32).contains(&(self as u32))
    }
}

/// A set of options by their [`Id`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given(u128);

impl Given {
    /// Adds one option to the set.
    pub fn add(&mut self, id: Id) {
        self.0 |= 1 << id as u32;
    }

    /// True when the option was given.
    pub fn has(self, id: Id) -> bool {
        self.0 >> id as u32 & 1 == 1
    }

    /// True when every option of the other set was given.
    pub fn has_all(self, other: Given) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when some option of the other set was given.
    pub fn has_some(self, other: Given) -> bool {
        self.0 & other.0 != 0
    }

    /// True when no option was given.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when any of them was given.
    pub fn any(self, ids: &[Id]) -> bool {
        ids.iter().any(|id| self.has(*id))
    }
}

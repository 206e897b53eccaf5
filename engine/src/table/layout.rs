//! Where things are in this kernel's structures (bpf-table.md §2): read from its BTF at each start, never a
//! constant of one release.

use super::btf::Btf;
use super::insn::Kfunc;
use std::io;

/// A part of the record that not every kernel has: where it is.
pub(crate) type Offset = Option<usize>;

/// `struct nf_conn`; offsets in bytes from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    pub(crate) size: usize,
    pub(crate) use_count: usize,
    pub(crate) timeout: usize,
    /// `zone.id` and `zone.dir`, with CONFIG_NF_CONNTRACK_ZONES.
    pub(crate) zone_id: Offset,
    pub(crate) zone_dir: Offset,
    /// The first of the two `tuplehash`, and the distance to the second.
    pub(crate) node: usize,
    pub(crate) node_size: usize,
    pub(crate) status: usize,
    pub(crate) net: usize,
    pub(crate) master: usize,
    /// With CONFIG_NF_CONNTRACK_MARK.
    pub(crate) mark: Offset,
    /// With CONFIG_NF_CONNTRACK_SECMARK.
    pub(crate) secmark: Offset,
    pub(crate) ext: usize,
    pub(crate) proto: usize,
}

/// `struct nf_conntrack_tuple_hash`, with the members of the tuple in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) next: usize,
    pub(crate) pprev: usize,
    pub(crate) tuple: usize,
    pub(crate) tuple_size: usize,
    pub(crate) family: usize,
    pub(crate) src: usize,
    pub(crate) src_port: usize,
    pub(crate) dst: usize,
    pub(crate) dst_port: usize,
    pub(crate) protocol: usize,
    pub(crate) dir: usize,
}

/// The protocols' own parts, from the beginning of `nf_conn.proto`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proto {
    pub(crate) tcp_state: usize,
    /// `seen[0].td_scale` and `.flags`, and the distance to those of the other direction.
    pub(crate) tcp_scale: usize,
    pub(crate) tcp_flags: usize,
    pub(crate) tcp_seen_size: usize,
    pub(crate) sctp_state: usize,
    pub(crate) sctp_vtag: usize,
    /// `role[0]`, `state`, `handshake_seq`; kernels from 6.16 on do not track DCCP.
    pub(crate) dccp: Option<(usize, usize, usize)>,
    /// Which of the protocols are compiled in: to the others the kernel gives neither ports nor state.
    pub(crate) has_sctp: bool,
    pub(crate) has_dccp: bool,
    pub(crate) has_udplite: bool,
    pub(crate) has_gre: bool,
}

/// `struct nf_ct_ext` and what is in it: which entry of `offset` belongs to an extension, and its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ext {
    pub(crate) offsets: usize,
    pub(crate) len: usize,
    pub(crate) helper: Offset,
    pub(crate) help_helper: usize,
    pub(crate) help_data: usize,
    pub(crate) helper_name: usize,
    pub(crate) helper_data_len: Offset,
    pub(crate) helper_to_attr: Offset,
    pub(crate) acct: Offset,
    pub(crate) tstamp: Offset,
    pub(crate) tstamp_stop: usize,
    pub(crate) labels: Offset,
    pub(crate) labels_size: usize,
    pub(crate) seqadj: Offset,
    pub(crate) synproxy: Offset,
}

/// The kernel functions that programs call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kfuncs {
    /// `bpf_rdonly_cast` and the structure that loads are made through: its first eight bytes are a number.
    /// Since Linux 6.2.
    pub(crate) cast: Option<(Kfunc, u32)>,
    /// `bpf_xdp_ct_lookup` and `bpf_ct_release`, since Linux 5.18.
    pub(crate) lookup: Option<(Kfunc, Kfunc)>,
}

/// Everything that is known of this kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) conn: Conn,
    pub(crate) node: Node,
    pub(crate) proto: Proto,
    pub(crate) ext: Ext,
    pub(crate) kfuncs: Kfuncs,
    /// `task_struct.nsproxy` and `nsproxy.net_ns`.
    pub(crate) task_nsproxy: usize,
    pub(crate) nsproxy_net: usize,
}

/// The folder in which the kernel shows its BTF and that of its modules.
const DIR: &str = "/sys/kernel/btf";

impl Layout {
    /// Reads the kernel's BTF.
    ///
    /// # Errors
    /// Words for `--explain`: no BTF, or a structure that is not as expected.
    pub(crate) fn read() -> Result<Layout, String> {
        let read = |name: &str| match std::fs::read(format!("{DIR}/{name}")) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{DIR}/{name}: {e}")),
        };
        let damaged = |name: &str| format!("{DIR}/{name} cannot be read");
        let kernel = read("vmlinux")?.ok_or_else(|| "this kernel has no BTF".to_owned())?;
        let kernel = Btf::parse(kernel, None).ok_or_else(|| damaged("vmlinux"))?;
        let module = match read("nf_conntrack")? {
            Some(bytes) => Some(Btf::parse(bytes, Some(&kernel)).ok_or_else(|| damaged("nf_conntrack"))?),
            None => None,
        };
        Layout::of(&kernel, module.as_ref())
    }

    fn of(kernel: &Btf<'_>, module: Option<&Btf<'_>>) -> Result<Layout, String> {
        // A module's structures may be declared in the kernel's own file, and the other way round.
        let btf = module.unwrap_or(kernel);
        const NAMES: [&str; 19] = [
            "nf_conn",
            "nf_conntrack_tuple_hash",
            "nf_conntrack_tuple",
            "ip_ct_tcp",
            "ip_ct_tcp_state",
            "ip_ct_sctp",
            "nf_ct_dccp",
            "nf_ct_ext",
            "nf_ct_ext_id",
            "nf_conn_help",
            "nf_conntrack_helper",
            "nf_conn_tstamp",
            "nf_conn_labels",
            "nf_conntrack_sctp_packet",
            "nf_conntrack_dccp_packet",
            "nf_conntrack_udplite_packet",
            "nf_conntrack_gre_packet",
            "bpf_xdp_ct_lookup",
            "bpf_ct_release",
        ];
        let of_kernel = kernel.ids(NAMES);
        let of_module = module.map_or([0; NAMES.len()], |m| m.ids(NAMES));
        let mut ids = of_module;
        for (id, other) in ids.iter_mut().zip(of_kernel) {
            if *id == 0 {
                *id = other;
            }
        }
        let [
            conn,
            hash,
            tuple,
            tcp,
            tcp_seen,
            sctp,
            dccp,
            ext,
            ext_ids,
            help,
            helper,
            tstamp,
            labels,
            rest @ ..,
        ] = ids;
        let [has_sctp, has_dccp, has_udplite, has_gre, ..] = rest.map(|id| id != 0);
        let at = |id: u32, path: &str| btf.member(id, path).map(|m| m.at);
        let must = |id: u32, path: &str| at(id, path).ok_or_else(|| format!("its BTF does not have {path}"));
        let size = |id: u32, what: &str| btf.size(id).ok_or_else(|| format!("its BTF does not have {what}"));
        let node = must(conn, "tuplehash")?;
        let tuple_at = must(hash, "tuple")?;
        let in_tuple = |path: &str| must(tuple, path).map(|m| tuple_at + m);
        // An extension is there when the enumeration has its number.
        let number = |name: &str| btf.enumerator(ext_ids, name);
        let dccp = at(dccp, "role").zip(at(dccp, "state")).zip(at(dccp, "handshake_seq"));
        let [task, nsproxy, cast, timespec] =
            kernel.ids(["task_struct", "nsproxy", "bpf_rdonly_cast", "timespec64"]);
        // Both functions come from the same file.
        let kfunc = |index: usize| {
            let (own, of_module) = (of_kernel.get(index).copied(), of_module.get(index).copied());
            match (own.unwrap_or(0), of_module.unwrap_or(0)) {
                (0, 0) => None,
                (0, id) => Some(Kfunc { id, of_module: true }),
                (id, _) => Some(Kfunc { id, of_module: false }),
            }
        };
        Ok(Layout {
            conn: Conn {
                size: size(conn, "nf_conn")?,
                use_count: must(conn, "ct_general.use")?,
                timeout: must(conn, "timeout")?,
                zone_id: at(conn, "zone.id"),
                zone_dir: at(conn, "zone.dir"),
                node,
                node_size: size(hash, "nf_conntrack_tuple_hash")?,
                status: must(conn, "status")?,
                net: must(conn, "ct_net.net")?,
                master: must(conn, "master")?,
                mark: at(conn, "mark"),
                secmark: at(conn, "secmark"),
                ext: must(conn, "ext")?,
                proto: must(conn, "proto")?,
            },
            node: Node {
                next: must(hash, "hnnode.next")?,
                pprev: must(hash, "hnnode.pprev")?,
                tuple: tuple_at,
                tuple_size: size(tuple, "nf_conntrack_tuple")?,
                family: in_tuple("src.l3num")?,
                src: in_tuple("src.u3")?,
                src_port: in_tuple("src.u")?,
                dst: in_tuple("dst.u3")?,
                dst_port: in_tuple("dst.u")?,
                protocol: in_tuple("dst.protonum")?,
                dir: in_tuple("dst.dir")?,
            },
            proto: Proto {
                tcp_state: must(tcp, "state")?,
                tcp_scale: must(tcp, "seen")? + must(tcp_seen, "td_scale")?,
                tcp_flags: must(tcp, "seen")? + must(tcp_seen, "flags")?,
                tcp_seen_size: size(tcp_seen, "ip_ct_tcp_state")?,
                sctp_state: must(sctp, "state")?,
                sctp_vtag: must(sctp, "vtag")?,
                dccp: dccp.map(|((role, state), seq)| (role, state, seq)),
                has_sctp,
                has_dccp,
                has_udplite,
                has_gre,
            },
            ext: Ext {
                offsets: must(ext, "offset")?,
                len: must(ext, "len")?,
                helper: number("NF_CT_EXT_HELPER"),
                help_helper: must(help, "helper")?,
                help_data: must(help, "data")?,
                helper_name: must(helper, "name")?,
                helper_data_len: at(helper, "data_len"),
                helper_to_attr: at(helper, "to_nlattr"),
                acct: number("NF_CT_EXT_ACCT"),
                tstamp: number("NF_CT_EXT_TSTAMP"),
                tstamp_stop: at(tstamp, "stop").unwrap_or(8),
                labels: number("NF_CT_EXT_LABELS"),
                labels_size: btf.size(labels).unwrap_or(0),
                seqadj: number("NF_CT_EXT_SEQADJ"),
                synproxy: number("NF_CT_EXT_SYNPROXY"),
            },
            kfuncs: Kfuncs {
                cast: (cast != 0 && timespec != 0)
                    .then_some((Kfunc { id: cast, of_module: false }, timespec)),
                lookup: kfunc(NAMES.len() - 2).zip(kfunc(NAMES.len() - 1)),
            },
            task_nsproxy: kernel.member(task, "nsproxy").map(|m| m.at).ok_or("no task_struct.nsproxy")?,
            nsproxy_net: kernel.member(nsproxy, "net_ns").map(|m| m.at).ok_or("no nsproxy.net_ns")?,
        })
    }
}

//! Messages of rpcinfo and rpcbind 1.2.6 to each other over loopback, and a question of version 2, which
//! these no longer ask.

/// `rpcinfo -T udp 127.0.0.1 100003 3`: for the address, from rpcbind version 4.
pub(super) const GETADDR_UDP: [u8; 88] =
    *b"\x6b\x00\x90\xcb\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x04\0\0\0\x03\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x03udp\0\
    \0\0\0\x0f127.0.0.1.0.111\0\0\0\0\x08libtirpc";
/// Its answer.
pub(super) const ADDRESS_UDP: [u8; 44] = *b"\x6b\x00\x90\xcb\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\x0d127.0.0.1.8.1\0\0\0";
/// The same over TCP, with record marks.
pub(super) const GETADDR_TCP: [u8; 92] =
    *b"\x80\0\0\x58\x71\x78\xfc\x4b\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x04\
    \0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x03tcp\0\
    \0\0\0\x0f127.0.0.1.0.111\0\0\0\0\x08libtirpc";
/// Its answer.
pub(super) const ADDRESS_TCP: [u8; 48] =
    *b"\x80\0\0\x2c\x71\x78\xfc\x4b\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\x0d127.0.0.1.8.1\0\0\0";
/// `rpcinfo -T tcp6 ::1 100003 3`.
pub(super) const GETADDR_TCP6: [u8; 88] =
    *b"\x80\0\0\x54\xfa\x91\xc2\x28\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x04\
    \0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x04tcp6\
    \0\0\0\x09::1.0.111\0\0\0\0\0\0\x08libtirpc";
/// The answer where there is no such service: an empty address.
pub(super) const NOT_REGISTERED: [u8; 28] =
    *b"\x6b\x0d\x75\x84\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// `rpcinfo -p`: all services, from version 2.
pub(super) const DUMP_TCP: [u8; 44] =
    *b"\x80\0\0\x28\x47\xa1\x40\x32\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\
    \0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// PMAPPROC_GETPORT for NFS version 3 over TCP.
pub(super) const GETPORT_NFS: [u8; 56] =
    *b"\x12\x34\x56\x78\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\x03\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x86\xa3\0\0\0\x03\0\0\0\x06\0\0\0\0";
/// Its answer.
pub(super) const PORT_2049: [u8; 28] =
    *b"\x12\x34\x56\x78\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\x01";

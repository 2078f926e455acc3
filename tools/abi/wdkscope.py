# SPDX-License-Identifier: MIT
"""What wdkgen.py writes, and where: the list of headers, what is left out, and the few members
that neither the layout facts nor the documentation front matter give (written here from the text of
the documentation pages; the ABI check holds them to the offsets)."""
import collections
import re

File = collections.namedtuple('File', 'path headers what includes note closes')


def row(path, headers, what, includes, note, closes=()):
    return File(path, headers.split(), what.split(), includes.split(), note, closes)


EXEC = ['nt/ke_api.h', 'nt/ex_api.h', 'nt/io_api.h', 'nt/mm_api.h', 'nt/rtl_api.h', 'nt/zw_api.h',
        'nt/po_api.h', 'nt/ob_api.h']
NBL = ('ndis/types.h ndis/version.h ndis/objectheader.h ndis/ndisport.h ndis/oidtypes.h '
       'ndis/hashtypes.h ndis/offloadtypes.h ndis/nicswitchtypes.h ndis/status.h '
       'ndis/nblinfo.h').split()

FILES = [
    row('guiddef_types.h', 'guiddef.h', 'types', 'nt/base.h', 'GUID and its pointers.'),
    row('ntstatus.h', 'ntstatus.h', 'constants', 'nt/base.h nt/ntstatus_type.h',
        'The NTSTATUS codes.'),
    row('bugcodes.h', 'bugcodes.h', 'constants', 'nt/base.h', 'The bug check codes.'),
    row('nt/def_types.h', 'ntdef.h', 'constants types', 'guiddef.h nt/ntstatus_type.h',
        'Basic types of the kernel interface: strings, lists, object attributes.'),
    row('devpropdef.h', 'devpropdef.h', 'constants types', 'ntdef.h', 'Device property keys.'),
    row('nt/wdm_constants.h', 'wdm.h', 'constants', 'ntdef.h',
        'Constants of the executive that every driver can use.'),
    row('nt/wdm_types.h', 'wdm.h', 'types', 'devpropdef.h nt/wdm_constants.h',
        'Types of the executive that every driver can use.', EXEC),
    row('nt/ke_api.h', '', 'functions', 'nt/wdm_types.h',
        'Kernel services: IRQL, spin locks, dispatcher objects, timers, DPCs, processors.'),
    row('nt/ex_api.h', '', 'functions', 'nt/wdm_types.h',
        'Executive services: pools, look-aside lists, resources, run-down protection, callbacks.'),
    row('nt/io_api.h', '', 'functions', 'nt/wdm_types.h',
        'The I/O manager: devices, IRPs, work items, interrupts, Plug and Play.'),
    row('nt/mm_api.h', '', 'functions', 'nt/wdm_types.h',
        'The memory manager: MDLs, mappings, system memory.'),
    row('nt/ob_api.h', '', 'functions', 'nt/wdm_types.h',
        'Objects, processes, threads, security, configuration and debug output.'),
    row('nt/po_api.h', '', 'functions', 'nt/wdm_types.h', 'The power manager.'),
    row('nt/rtl_api.h', '', 'functions', 'nt/wdm_types.h',
        'Run-time library: strings, memory, bitmaps, registry helpers, tables.'),
    row('nt/zw_api.h', '', 'functions', 'nt/wdm_types.h',
        'System services: files, registry keys, sections, events.'),
    row('nt/ddk_types.h', 'ntddk.h', 'constants types', 'wdm.h',
        'Constants and types of ntddk.h that wdm.h does not have.', ['nt/ddk_api.h']),
    row('nt/ddk_api.h', '', 'functions', 'nt/ddk_types.h',
        'Functions of ntddk.h that wdm.h does not have.'),
    row('ipifcons.h', 'ipifcons.h', 'constants types', 'ntdef.h',
        'Interface type numbers (IANA ifType) and interface states.'),
    row('ifdef.h', 'ifdef.h', 'constants types', 'ntdef.h ipifcons.h',
        'Network interface identity and state.'),
    row('ndis/types.h', 'ndis/types.h', 'constants types', 'ntddk.h', 'NDIS_HANDLE and NDIS_STATUS.'),
    row('ndis/objectheader.h', 'ndis/objectheader.h', 'constants types', 'ndis/types.h',
        'The header at the start of every extensible NDIS structure.'),
    row('ndis/ndisport.h', 'ndis/ndisport.h', 'constants types', 'ndis/types.h',
        'NDIS port numbers.'),
    row('ndis/oidtypes.h', 'ndis/oidtypes.h', 'constants types', 'ndis/types.h',
        'Object identifiers and request types.'),
    row('ndis/nicswitchtypes.h', 'ndis/nicswitchtypes.h', 'constants types', 'ndis/types.h',
        'NIC switch identifiers.'),
    row('ndis/hashtypes.h', 'ndis/hashtypes.h', 'constants types', 'ndis/types.h',
        'Receive hash types and functions.'),
    row('ndis/offloadtypes.h', 'ndis/offloadtypes.h', 'constants types', 'ndis/types.h',
        'Encapsulation and offload state values.'),
    row('ndis/status.h', 'ndis/status.h', 'constants types', 'ndis/types.h',
        'The NDIS status codes that the data path shares with ndis.h.'),
    row('ndis/nblinfo.h', 'ndis/nblinfo.h', 'constants types', 'ndis/types.h',
        'Slots of NetBufferListInfo.'),
    row('ndis/nbl.h', 'ndis/nbl.h', 'constants types', 'ndis/types.h ndis/nblinfo.h',
        'NET_BUFFER_LIST and NET_BUFFER.'),
    row('ndis/nblsend.h', 'ndis/nblsend.h', 'constants types', 'ndis/nbl.h', 'Send flags.'),
    row('ndis/nblreceive.h', 'ndis/nblreceive.h', 'constants types', 'ndis/nbl.h',
        'Receive and return flags.'),
    row('ndis/nbl8021q.h', 'ndis/nbl8021q.h', 'constants types', 'ndis/nbl.h',
        '802.1Q information of a NET_BUFFER_LIST.'),
    row('ndis/nblchecksum.h', 'ndis/nblchecksum.h', 'constants types', 'ndis/nbl.h',
        'Checksum offload information of a NET_BUFFER_LIST.'),
    row('ndis/nbllso.h', 'ndis/nbllso.h', 'constants types', 'ndis/nbl.h',
        'Large send offload information of a NET_BUFFER_LIST.'),
    row('ndis/nbluso.h', 'ndis/nbluso.h', 'constants types', 'ndis/nbl.h',
        'UDP segmentation offload information of a NET_BUFFER_LIST.'),
    row('ndis/nbluro.h', 'ndis/nbluro.h', 'constants types', 'ndis/nbl.h',
        'UDP receive offload information of a NET_BUFFER_LIST.'),
    row('ndis/nblrsc_types.h', 'ndis/nblrsc.h', 'constants types', 'ndis/nbl.h',
        'Receive segment coalescing information of a NET_BUFFER_LIST.'),
    row('ndis/nbltimestamp_types.h', 'ndis/nbltimestamp.h', 'constants types', 'ndis/nbl.h',
        'Hardware time stamp of a NET_BUFFER_LIST.'),
    row('ndis/mdlapi.h', 'ndis/mdlapi.h', 'constants types functions', 'ndis/types.h',
        'Allocation of MDLs for the data path.'),
    row('ndis/nblapi.h', 'ndis/nblapi.h', 'constants types functions',
        'ndis/nbl.h ndis/objectheader.h ndis/mdlapi.h',
        'Pools, allocation and cursor functions of NET_BUFFER_LIST and NET_BUFFER.'),
    row('ndis/encapsulationconfig.h', 'ndis/encapsulationconfig.h', 'constants types',
        'ndis/objectheader.h', 'OID_OFFLOAD_ENCAPSULATION.'),
    row('ndis/oidrequest.h', 'ndis/oidrequest.h', 'constants types',
        'ndis/objectheader.h ndis/oidtypes.h ndis/ndisport.h ndis/nicswitchtypes.h',
        'NDIS_OID_REQUEST.'),
    row('ndis/poll.h', 'ndis/poll.h', 'constants types functions', 'ndis/nbl.h ndis/objectheader.h',
        'Polling of data paths (NDIS 6.85).'),
    row('ndis/ddndis_oids.h', 'ntddndis.h', 'oids', 'ndis/types.h', 'Object identifiers.'),
    row('ndis/ddndis_constants.h', 'ntddndis.h', 'constants', 'ndis/types.h',
        'Constants that OID requests and status indications use.'),
    row('ndis/ddndis_types.h', 'ntddndis.h', 'types',
        'ifdef.h ndis/objectheader.h ndis/ndisport.h ndis/oidtypes.h ndis/hashtypes.h '
        'ndis/offloadtypes.h ndis/nicswitchtypes.h ndis/encapsulationconfig.h ndis/in_addr.h '
        'ndis/oidrequest.h '
        'ndis/ddndis_constants.h',
        'Structures that OID requests and status indications carry.'),
    row('ndis/monitor.h', 'ndis/monitor.h', 'constants types functions', 'ntddndis.h ndis/nbl.h',
        'Packet monitor.'),
    row('netpnp_types.h', 'netpnp.h', 'constants types', 'ntdef.h', 'Network Plug and Play events.'),
    row('ndis/ndis_constants.h', 'ndis.h', 'constants', 'ndis/types.h', 'Constants of ndis.h.'),
    row('ndis/ndis_types.h', 'ndis.h', 'types',
        'ntddndis.h netpnp.h ndis/nblapi.h ndis/nbl8021q.h ndis/nblchecksum.h ndis/nbllso.h '
        'ndis/nbluso.h ndis/nbluro.h ndis/nblsend.h ndis/nblreceive.h ndis/oidrequest.h ndis/poll.h '
        'ndis/status.h ndis/ndis_constants.h',
        'Structures and entry points of miniport, protocol and filter drivers.',
        ['ndis/ndis_api.h']),
    row('ndis/ndis_api.h', 'ndis.h', 'functions', 'ndis/ndis_types.h', 'The NdisXxx functions.'),
]

API_BY_PREFIX = [
    (r'Ke|Kf|Hvl', 'nt/ke_api.h'),
    (r'Ex|Interlocked|FirstEntry|Initialize|Query', 'nt/ex_api.h'),
    (r'Io|Hal|Wmi|Iof', 'nt/io_api.h'),
    (r'Mm|Probe', 'nt/mm_api.h'),
    (r'Po', 'nt/po_api.h'),
    (r'Rtl', 'nt/rtl_api.h'),
    (r'Zw|Nt', 'nt/zw_api.h'),
    (r'', 'nt/ob_api.h'),
]


def function_file(name, header):
    if name == 'KeGetCurrentProcessorNumberEx':  # inline functions of wdm.h need it
        return 'nt/ke_api.h'
    if header in ('wdm.h', 'ntdef.h'):
        return next(f for p, f in API_BY_PREFIX if re.match(p, name))
    return {'ntddk.h': 'nt/ddk_api.h', 'ndis.h': 'ndis/ndis_api.h',
            'ndis/nblhash.h': 'ndis/ndis_api.h',
            'ndis/nbltimestamp.h': 'ndis/ndis_api.h'}.get(header, header)


# Parts of wdm.h and ntddk.h that no network driver touches: error hardware (WHEA), log file system,
# transactions, PCI Express registers, other processors, silos, debug transports.
OUT = re.compile(
    r'^_*(?:P|PC)?(WHEA|Whea|wheap|PSHED|Pshed|XPF|MCA_|MCG|MCI|ARM64|ARM_|CLFS|Clfs|CLS|PCI_EXPRESS|'
    r'PciExpress|PCIX|PCIE|AER_|PCI_FPB|FPB|PCI_ROOT|PCI_AGP|PCI_DEBUGGING|PCW|Pcw|IPMI|PROCESS_|'
    r'SILO|Silo|Tm[A-Z]|KTM|TRANSACTION|ENLISTMENT|RESOURCEMANAGER|XSTATE|CONTEXT_|'
    r'KUMS|UMS|DEBUG_|DEBUGGING|PHYSICAL_COUNTER|INJECT_ERR|GENPROC|EISA|SE_ADT|SeAdt|SE_SIGNING|'
    r'HARDWARE_COUNTER|IOMMU|Iommu|SUBLANG|LANG_|SORT_|PRODUCT_|VER_SUITE|LOCALE_|SHARED_GLOBAL|'
    r'FILL_NV|WRITE_NV|HAL_|Hal[A-Z]|ARBITER|KERNEL_CET|KTRAP|KEXCEPTION|ETW|Etw|EVENT_FILTER|EVENT_DATA_DESC|PNP_REPL|VIRTUAL_[CR]|IO_ATTRIBUTION|RTL_CORRELATION|'
    r'THREAD_CSWITCH|POWER_THROTTLING|SSINFO|PARTITION_|DISK_|DRIVE_|IMAGE_POLICY|PS_MITIGATION|'
    r'SECURE_DRIVER|NPEM|PCCARD|TXF|NX_SUPPORT|SEH_VALID|Vsl|BugCheckSecondary|PHYSICAL_MEMORY_RUN|'
    r'KUSER|KPCR|NT_TIB|SOC_|SYSTEM_FIRMWARE|EXTENDED_CREATE|NPIV|CRASHDUMP|DUMP_|PAGE_ENCLAVE|'
    r'PAGE_GRAPHICS|PREFETCH|PROCESSINFO|THREADINFO|HYPERVISOR_|KNONVOLATILE|MEM_DEDICATED|'
    r'MONITOR_DISPLAY|USERNAME|CP_GET|OS_DEPLOY|KD_|Kd[A-Z]|WinBuiltin|PEB|HAL|LOADER_|BDCB|'
    r'SE_IMAGE|IMAGE_INFO_|OPLOCK|VetoType|NLS_|EXHAUST|D3COLD|MCE|PCIBUS|PCI_HARDWARE|PCI_VIRT|'
    r'(?:Zw|Nt)\w*(?:Transaction|Enlist|ResourceManager|Recover|Propagation)|\w*TRANSACTION|'
    r'CUSTOM_SYSTEM_EVENT|PNP_REPLACE|PCI_X_CAP|PCI_COMMON|PCI_PMC|PCI_PM_|PCI_ADV|CMC_|CPE_|DRIVER_C|DRIVER_MCA|DRIVER_EXCPTN|MCA|ACPI_INTERFACE_STANDARD2|BATTERY_REP|NOTIFY_USER|SET_POWER_SET|PCI_CAPABILITIES_HEADER|PCI_DEVICE_PRESENT|PCI_BUS_INTERFACE|PCI_MSIX_TABLE|PHYSICAL_COUNTERS|KEY_TXN|CACHE_D|DRIVER_VERIFIER_T)')

# in ndis.h and ntddndis.h: records whose members live in headers that this project does not have
OUT_NDIS = re.compile(r'^_*P?(NDK_WMI|NDIS_WMI_NDK|NDIS_GFP_HEADER_GROUP_EXACT_MATCH$|NDIS_GFT_HEADER_GROUP_TRANSPOSITION$|FILTERDBS|NDIS_NDK_CONNECTION|NDIS_NDK_LOCAL|NDIS_QUERY_STATISTICS_EX__)')


def kept(name, header, facts):
    if header in ('wdm.h', 'ntddk.h', 'ntdef.h'):
        return not OUT.match(name)
    return not OUT_NDIS.match(name)


SKIP_CONSTANTS = {'NULL64', 'MAXULONG64x'}
NORETURN = {'KeBugCheck', 'KeBugCheckEx', 'RtlRaiseStatus', 'ExRaiseStatus'}
BAD_PARAMS = {'IN', 'OUT', 'OPTIONAL', 'int', 'char', 'default', 'register', 'interface', 'unix',
              'linux', 'errno', 'VOID', 'void', 'CONST'}
OPAQUE_ALIGN = {'BINARY_DATA': 8, 'CO_ADDRESS_FAMILY': 4, 'CO_SAP': 4, 'FILTERDBS': 8,
                'BATTERY_REPORTING_SCALE': 4, 'SET_POWER_SETTING_VALUE': 4,
                'NOTIFY_USER_POWER_SETTING': 4, 'ACPI_INTERFACE_STANDARD2': 8, 'FLOWSPEC': 4}

ENUM_HEADER = {'_NDK_RDMA_TECHNOLOGY': 'ntddndis.h', '_DPFLTR_TYPE': 'wdm.h'}

# Enums without a tag: first and last member. The JSON keeps them in one bag, in order.
ENUM_SPANS = {
    'TUNNEL_TYPE': ('TUNNEL_TYPE_NONE', 'TUNNEL_TYPE_IPHTTPS'),
    'IF_OPER_STATUS': ('IfOperStatusUp', 'IfOperStatusLowerLayerDown'),
    'COMPARTMENT_ID': ('UNSPECIFIED_COMPARTMENT_ID', 'DEFAULT_COMPARTMENT_ID'),
    'LATENCY_TIME': ('LT_DONT_CARE', 'LT_LOWEST_LATENCY'),
    'POWER_ACTION': ('PowerActionNone', 'PowerActionDisplayOff'),
    'NDIS_PD_QUEUE_TYPE': ('PDQueueTypeUnknown', 'PDQueueTypeMax'),
    'NDIS_PD_COUNTER_TYPE': ('PDCounterTypeUnknown', 'PDCounterTypeMax'),
    'NDIS_PD_CONTROL_TYPE': ('NdisPDCTL_IN', 'NdisPDCTL_INOUT'),
    'NDIS_PD_QUEUE_CONTROL_CODE': ('NdisPDQCTLUnknown', 'NdisPDQCTLMax'),
    'NDIS_PD_PROVIDER_CONTROL_CODE': ('NdisPDPCTLUnknown', 'NdisPDPCTLMax'),
}

# Member paths for records whose page is missing or incomplete, as the pages would list them.
PATHS = {
    '_LARGE_INTEGER': ['LowPart', 'HighPart', 'u.LowPart', 'u.HighPart', 'QuadPart'],
    '_NDIS_OFFLOAD_ENCAPSULATION': [
        'Header', 'IPv4.Enabled', 'IPv4.EncapsulationType', 'IPv4.HeaderSize', 'IPv6.Enabled',
        'IPv6.EncapsulationType', 'IPv6.HeaderSize'],
    '_NET_LUID_LH': ['Value', 'Info.Reserved', 'Info.NetLuidIndex', 'Info.IfType'],
    '_SLIST_HEADER': ['Alignment', 'Region', 'HeaderX64.Depth', 'HeaderX64.Sequence',
                      'HeaderX64.Reserved', 'HeaderX64.NextEntry'],
    '_NDIS_PACKET_8021Q_INFO': ['TagHeader.UserPriority', 'TagHeader.CanonicalFormatId',
                                'TagHeader.VlanId', 'TagHeader.Reserved', 'Value'],
    '_NDIS_TCP_IP_CHECKSUM_PACKET_INFO': [
        'Transmit.NdisPacketChecksumV4', 'Transmit.NdisPacketChecksumV6',
        'Transmit.NdisPacketTcpChecksum', 'Transmit.NdisPacketUdpChecksum',
        'Transmit.NdisPacketIpChecksum', 'Receive.NdisPacketTcpChecksumFailed',
        'Receive.NdisPacketUdpChecksumFailed', 'Receive.NdisPacketIpChecksumFailed',
        'Receive.NdisPacketTcpChecksumSucceeded', 'Receive.NdisPacketUdpChecksumSucceeded',
        'Receive.NdisPacketIpChecksumSucceeded', 'Receive.NdisPacketLoopback', 'Value'],
    '_NDIS_UDP_RSC_OFFLOAD_NET_BUFFER_LIST_INFO': ['Receive.SegCount', 'Receive.SegSize', 'Value'],
    '_SYSTEM_LOGICAL_PROCESSOR_INFORMATION': ['ProcessorMask', 'Relationship',
                                              'ProcessorCore.Flags', 'NumaNode.NodeNumber',
                                              'Cache', 'Reserved'],
    '_IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS': [
        'PhysicalDeviceObject', 'ConnectionContext.Generic',
        'ConnectionContext.InterruptMessageTable', 'ConnectionContext.InterruptObject',
        'MessageServiceRoutine', 'ServiceContext', 'SpinLock', 'SynchronizeIrql', 'FloatingSave',
        'FallBackServiceRoutine'],
    '_ULARGE_INTEGER': ['LowPart', 'HighPart', 'u.LowPart', 'u.HighPart', 'QuadPart'],
}

# Size and alignment of types that headers of ours declare by hand.
FOREIGN = {'IN_ADDR': (4, 4), 'IN6_ADDR': (16, 2), 'FLOWSPEC': (32, 4), 'SOCKADDR_INET': (28, 4),
           'NDK_ADAPTER_INFO': (None, None), 'PKAFFINITY': (8, 8), 'PDOT11_PHY_ATTRIBUTES': (8, 8), 'PDOT11_EXTSTA_ATTRIBUTES': (8, 8),
           'PDOT11_VWIFI_ATTRIBUTES': (8, 8), 'PDOT11_EXTAP_ATTRIBUTES': (8, 8),
           'PDOT11_WFD_ATTRIBUTES': (8, 8)}

# Members whose type is a union that the layout facts do not open.
FIELDS = {
    ('_NDIS_OID_REQUEST', 'DATA'): '''
union _REQUEST_DATA {
    struct _QUERY {
        NDIS_OID Oid;
        PVOID InformationBuffer;
        UINT InformationBufferLength;
        UINT BytesWritten;
        UINT BytesNeeded;
    } QUERY_INFORMATION;
    struct _SET {
        NDIS_OID Oid;
        PVOID InformationBuffer;
        UINT InformationBufferLength;
        UINT BytesRead;
        UINT BytesNeeded;
    } SET_INFORMATION;
    struct _METHOD {
        NDIS_OID Oid;
        PVOID InformationBuffer;
        ULONG InputBufferLength;
        ULONG OutputBufferLength;
        ULONG MethodId;
        UINT BytesWritten;
        UINT BytesRead;
        UINT BytesNeeded;
    } METHOD_INFORMATION;
} DATA;''',
    ('_NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2', 'EncapsulationProtocolInfo'): '''
union _ENCAPSULATION_PROTOCOL_INFO {
    struct _VXLAN_INFO {
        USHORT VxlanUDPPortNumber;
        USHORT VxlanUDPPortNumberConfigurable;
    } VxlanInfo;
    ULONG Value;
} EncapsulationProtocolInfo;''',
    ('_NDIS_OFFLOAD_PARAMETERS', 'EncapsulationProtocolParameters'): '''
union _ENCAPSULATION_PROTOCOL_PARAMETERS {
    struct _VXLAN_PARAMETERS {
        USHORT VxlanUDPPortNumber;
    } VxlanParameters;
    ULONG Value;
} EncapsulationProtocolParameters;''',
    ('_NDIS_PM_WOL_PATTERN', 'WoLPattern'): '''
union _WOL_PATTERN {
    struct _IPV4_TCP_SYN_WOL_PACKET_PARAMETERS {
        ULONG Flags;
        UCHAR IPv4SourceAddress[4];
        UCHAR IPv4DestAddress[4];
        USHORT TCPSourcePortNumber;
        USHORT TCPDestPortNumber;
    } IPv4TcpSynParameters;
    struct _IPV6_TCP_SYN_WOL_PACKET_PARAMETERS {
        ULONG Flags;
        UCHAR IPv6SourceAddress[16];
        UCHAR IPv6DestAddress[16];
        USHORT TCPSourcePortNumber;
        USHORT TCPDestPortNumber;
    } IPv6TcpSynParameters;
    struct _EAPOL_REQUEST_ID_WOL_PACKET_PARAMETERS {
        ULONG Flags;
    } EapolRequestIdMessageParameters;
    struct _WOL_BITMAP_PATTERN {
        ULONG Flags;
        ULONG MaskOffset;
        ULONG MaskSize;
        ULONG PatternOffset;
        ULONG PatternSize;
    } WoLBitMapPattern;
} WoLPattern;''',
    ('_NDIS_PM_PROTOCOL_OFFLOAD', 'ProtocolOffloadParameters'): '''
union _PROTOCOL_OFFLOAD_PARAMETERS {
    struct _IPV4_ARP_PARAMETERS {
        ULONG Flags;
        UCHAR RemoteIPv4Address[4];
        UCHAR HostIPv4Address[4];
        UCHAR MacAddress[6];
    } IPv4ARPParameters;
    struct _IPV6_NS_PARAMETERS {
        ULONG Flags;
        UCHAR RemoteIPv6Address[16];
        UCHAR SolicitedNodeIPv6Address[16];
        UCHAR MacAddress[6];
        UCHAR TargetIPv6Addresses[2][16];
    } IPv6NSParameters;
    struct _DOT11_RSN_REKEY_PARAMETERS {
        ULONG Flags;
        UCHAR KCK[DOT11_RSN_KCK_LENGTH];
        UCHAR KEK[DOT11_RSN_KEK_LENGTH];
        ULONGLONG KeyReplayCounter;
    } Dot11RSNRekeyParameters;
    struct _DOT11_RSN_REKEY_PARAMETERS_V2 {
        ULONG Flags;
        ULONGLONG KeyReplayCounter;
        ULONG AuthAlgo;
        ULONG KCKLength;
        ULONG KEKLength;
        UCHAR KCK[DOT11_RSN_MAX_CIPHER_KEY_LENGTH];
        UCHAR KEK[DOT11_RSN_MAX_CIPHER_KEY_LENGTH];
    } Dot11RSNRekeyParametersV2;
} ProtocolOffloadParameters;''',
    ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'HeaderField'): '''
union _HEADER_FIELD {
    NDIS_MAC_HEADER_FIELD MacHeaderField;
    NDIS_ARP_HEADER_FIELD ArpHeaderField;
    NDIS_IPV4_HEADER_FIELD IPv4HeaderField;
    NDIS_IPV6_HEADER_FIELD IPv6HeaderField;
    NDIS_UDP_HEADER_FIELD UdpHeaderField;
} HeaderField;''',
    ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'FieldValue'): '''
union _FIELD_VALUE {
    UCHAR FieldByteValue;
    USHORT FieldShortValue;
    ULONG FieldLongValue;
    ULONG64 FieldLong64Value;
    UCHAR FieldByteArrayValue[16];
} FieldValue;''',
    ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'ResultValue'): '''
union _RESULT_VALUE {
    UCHAR ResultByteValue;
    USHORT ResultShortValue;
    ULONG ResultLongValue;
    ULONG64 ResultLong64Value;
    UCHAR ResultByteArrayValue[16];
} ResultValue;''',
}
FIELD_ALIGN = {('_NDIS_OID_REQUEST', 'DATA'): 8,
               ('_NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2', 'EncapsulationProtocolInfo'): 4,
               ('_NDIS_OFFLOAD_PARAMETERS', 'EncapsulationProtocolParameters'): 4,
               ('_NDIS_PM_WOL_PATTERN', 'WoLPattern'): 4,
               ('_NDIS_PM_PROTOCOL_OFFLOAD', 'ProtocolOffloadParameters'): 8,
               ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'HeaderField'): 4,
               ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'FieldValue'): 8,
               ('_NDIS_RECEIVE_FILTER_FIELD_PARAMETERS', 'ResultValue'): 8}

# Whole bodies.
BODIES = {}

# Types whose members the layout facts do not list.
EXTRA = {
    'EXCEPTION_DISPOSITION': '''
typedef enum _EXCEPTION_DISPOSITION {
    ExceptionContinueExecution,
    ExceptionContinueSearch,
    ExceptionNestedException,
    ExceptionCollidedUnwind
} EXCEPTION_DISPOSITION;''',
    'BINARY_DATA': '''
typedef struct {
    USHORT Length;
    PVOID Buffer;
} BINARY_DATA;''',
    'CO_ADDRESS_FAMILY': '''
typedef struct CO_ADDRESS_FAMILY {
    ULONG AddressFamily;
    ULONG MajorVersion;
    ULONG MinorVersion;
} CO_ADDRESS_FAMILY;''',
    'CO_SAP': '''
typedef struct CO_SAP {
    ULONG SapType;
    ULONG SapLength;
    UCHAR Sap[1];
} CO_SAP;''',
}
EXTRA_HEADER = {}

/// Where the interfaces of this machine's roots of trust are.
public struct DevicePlaces: Sendable {
    /// The folder of configfs-tsm in which reports are made.
    public var reports = "/sys/kernel/config/tsm/report"
    /// The device of a trust domain.
    public var tdxGuest = "/dev/tdx_guest"
    /// Intel's quoting service as `vsock:CONTEXT:PORT` or `unix:PATH`; context 2 is the host, and
    /// 4050 the port that Intel's service takes.
    public var quotingService = "vsock:2:4050"
    /// Whether quotes of TDX come from that service even where configfs-tsm would give them.
    public var prefersQuotingService = false
    /// The pseudo-files of Gramine.
    public var gramine = "/dev/attestation"
    /// The Nitro Secure Module.
    public var nsm = "/dev/nsm"
    /// NVIDIA's management library, by its path or by the name that the dynamic linker knows.
    public var nvml = NVIDIAAttester.defaultLibrary
    /// Azure's metadata service, `ADDRESS:PORT`, which has TDX quotes made.
    public var metadataService = MetadataService.usual
    /// The kernel's resource manager for a TPM, which several processes may share.
    public var tpm = "/dev/tpmrm0"

    /// What stands before the paths of everything else that is looked at.
    let root: String

    /// Where Linux has them; tests put another `root` in front of every path.
    public init(root: String = "") {
        self.root = root
        reports = root + reports
        tdxGuest = root + tdxGuest
        gramine = root + gramine
        nsm = root + nsm
        tpm = root + tpm
    }

    /// Which of the roots of trust other than a TPM show themselves here, the strongest first.
    ///
    /// TDX and SNP protect a whole machine from its host, Nitro does with a hypervisor alone, SGX
    /// one process; a TPM beside them says more about the boot, but protects no memory. Of each
    /// only its interface is looked at: whether it works shows at the first quote.
    public var found: [TrustRoot] {
        var found: [TrustRoot] = []
        let provider = try? TSMReport(folder: reports).provider()
        if provider == TDXAttester.provider || HostFile.exists(tdxGuest) { found.append(.tdx) }
        if provider == SNPAttester.provider { found.append(.snp) }
        if HostFile.exists(nsm) { found.append(.nitro) }
        if HostFile.exists(gramine + "/user_report_data") { found.append(.sgx) }
        return found
    }

    /// How quotes of TDX are had: by configfs-tsm where it serves them, unless told otherwise.
    public var tdxSource: TDXAttester.Source {
        let provider = try? TSMReport(folder: reports).provider()
        if !prefersQuotingService, provider == TDXAttester.provider || !HostFile.exists(tdxGuest) {
            return .configfs(folder: reports)
        }
        return .quotingService(device: tdxGuest, service: quotingService)
    }
}

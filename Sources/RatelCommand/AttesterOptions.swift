internal import ArgumentParser

/// Options of a side that may attest.
struct AttesterOptions: ParsableArguments {
    @Option(
        help: """
            auto (the strongest there is), or from tdx, snp, sgx, nitro, tpm and nvidia those that \
            attest, e.g. tdx,nvidia; none; or simulated: a software key that vouches for nothing \
            (default: auto).
            """)
    var attester: String?

    @Option(
        help: ArgumentHelp(
            """
            How libtss2 reaches the TPM, e.g. device:/dev/tpmrm0 or swtpm:path=/run/tpm.sock \
            (default: device:/dev/tpmrm0).
            """, valueName: "name:options"))
    var tcti: String?

    @Option(
        help: ArgumentHelp(
            "PCRs that quotes cover, e.g. 0-7,11 (default: 0-7).", valueName: "list"))
    var pcrs: String?

    @Option(
        help: ArgumentHelp(
            """
            Folder with the collateral and certificates that travel with the Evidence: \
            tcb_info.json, vcek.der, … (see the documentation).
            """, valueName: "folder"))
    var endorsements: String?

    @Option(
        name: .customLong("tsm-reports"),
        help: ArgumentHelp(
            "Reports of TDX and SEV-SNP (default: /sys/kernel/config/tsm/report).",
            valueName: "folder"))
    var reports: String?

    @Option(
        name: .customLong("tdx-guest"),
        help: ArgumentHelp(
            "Device of TDX, for the quoting service (default: /dev/tdx_guest).",
            valueName: "path"))
    var tdxGuest: String?

    @Option(
        name: .customLong("quoting-service"),
        help: ArgumentHelp(
            """
            Have TDX quotes made by Intel's service at vsock:CONTEXT:PORT or unix:PATH \
            (default: vsock:2:4050, where /sys/kernel/config/tsm/report does not serve TDX).
            """, valueName: "address"))
    var quotingService: String?

    @Option(
        name: .customLong("metadata-service"),
        help: ArgumentHelp(
            "Azure's service that has TDX quotes made (default: 169.254.169.254:80).",
            valueName: "address"))
    var metadataService: String?

    @Option(
        help: ArgumentHelp(
            "Pseudo-files of Gramine (default: /dev/attestation).", valueName: "folder"))
    var gramine: String?

    @Option(
        help: ArgumentHelp("Nitro Secure Module (default: /dev/nsm).", valueName: "path"))
    var nsm: String?

    @Option(
        help: ArgumentHelp(
            "NVIDIA's management library (default: libnvidia-ml.so.1).", valueName: "path"))
    var nvml: String?

    @Option(
        name: .customLong("tls-certificate"),
        help: ArgumentHelp(
            """
            PEM chain of a public CA or SPIFFE, in place of the self-signed certificate; read \
            again when the file changes.
            """,
            valueName: "file"))
    var tlsCertificate: String?

    @Option(
        name: .customLong("tls-key"),
        help: ArgumentHelp("PEM key of --tls-certificate.", valueName: "file"))
    var tlsKey: String?

    /// The flags by the names that they also have in the environment and in files.
    var flags: [String: String?] {
        [
            "attester": attester, "tcti": tcti, "pcrs": pcrs, "tls-certificate": tlsCertificate,
            "tls-key": tlsKey, "endorsements": endorsements, "tsm-reports": reports,
            "tdx-guest": tdxGuest, "quoting-service": quotingService, "gramine": gramine,
            "nsm": nsm, "nvml": nvml, "metadata-service": metadataService,
        ]
    }
}

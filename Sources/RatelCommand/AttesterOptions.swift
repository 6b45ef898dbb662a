internal import ArgumentParser

/// Options of a side that may attest.
struct AttesterOptions: ParsableArguments {
    @Option(
        help: """
            auto (the TPM), tpm, none, or simulated: a software key that vouches for nothing \
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
        name: .customLong("tls-certificate"),
        help: ArgumentHelp(
            "PEM chain of a public CA or SPIFFE, in place of the self-signed certificate.",
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
            "tls-key": tlsKey,
        ]
    }
}

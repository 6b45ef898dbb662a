internal import ArgumentParser
internal import Ratel

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

    static let names = ["attester", "tcti", "pcrs", "tls-certificate", "tls-key"]

    func settings(
        _ source: ConfigurationSource, default choice: AttesterSettings.Choice
    ) throws(ConfigurationError) -> AttesterSettings {
        var settings = AttesterSettings(choice: choice, tcti: nil, pcrs: Array(0...7))
        settings.tcti = source.value("tcti", flag: tcti)
        if settings.tcti != nil { settings.choice = .tpm }
        if let text = source.value("attester", flag: attester) {
            settings.choice = try SettingValue.choice(text, setting: "attester")
        }
        if let text = source.value("pcrs", flag: pcrs) {
            settings.pcrs = try SettingValue.list(text, in: 0...23, setting: "pcrs")
        }
        return settings
    }

    func identity(
        _ source: ConfigurationSource
    ) throws(ConfigurationError) -> ProvidedIdentity? {
        let certificate = source.value("tls-certificate", flag: tlsCertificate)
        let key = source.value("tls-key", flag: tlsKey)
        switch (certificate, key) {
        case (nil, nil): return nil
        case (let certificate?, let key?):
            return ProvidedIdentity(certificatePath: certificate, keyPath: key)
        default:
            throw ConfigurationError("--tls-certificate and --tls-key go together")
        }
    }
}

internal import Attestation
internal import Keys
internal import Loop

/// `ratel doctor`: what this machine can attest with, and why the rest does not work.
public enum DoctorReport {
    /// The report, and whether anything usable was found.
    public static func make(
        _ source: ConfigurationSource, json: Bool
    ) -> (text: String, isUsable: Bool) {
        var environment: [String: String] = [:]
        for name in Doctor.tctiVariables {
            if let value = System.environment(name) { environment[name] = value }
        }
        let findings = Doctor.examine(
            tcti: source["tcti"], environment: environment, places: DevicePlaces(source))
        // The software key vouches for nothing, and configfs is only the way to a root of trust.
        let isUsable = findings.contains {
            $0.state == .usable && !["software key", "configfs-tsm"].contains($0.interface)
        }
        if json {
            return (JSONValue.array(findings.map(\.json)).serialised(pretty: true), isUsable)
        }
        var table = Table()
        for finding in findings { table.row(finding.row.name, finding.row.text) }
        let closing =
            isUsable
            ? "This machine can attest.\n"
            : "This machine has no root of trust to attest with: see above what each needs.\n"
        return (table.text + "\n" + closing, isUsable)
    }
}

internal import ArgumentParser
internal import Ratel

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine can attest with, and why the rest does not work.",
        discussion: "Exit status: 0 when something works, 1 when nothing does.")

    @Flag(help: "JSON in place of a table.")
    var json = false

    @OptionGroup(title: "Attestation")
    var attestation: AttesterOptions

    func run() throws {
        try finish { () throws(ConfigurationError) in
            let report = try DoctorReport.make(
                ConfigurationSource(attestation.flags), json: json)
            print(report.text, terminator: json ? "\n" : "")
            return report.isUsable ? 0 : 1
        }
    }
}

internal import ArgumentParser
internal import Ratel

struct TCBStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcb-status",
        abstract: "Say where a TDX or SGX platform stands, and what it lacks to be up to date.",
        discussion: """
            Exit status: 0 up to date, 1 anything else, 2 when the input is unusable.
            """)

    @OptionGroup var subject: CollateralCommand.Subject
    @OptionGroup(title: "Collateral") var collateral: CollateralOptions

    func run() throws {
        try report { () throws(ConfigurationError) in
            try TCBInspector.show(ConfigurationSource(collateral.flags), subject.request())
        }
    }
}

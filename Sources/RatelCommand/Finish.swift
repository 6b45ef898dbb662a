internal import ArgumentParser
internal import Ratel

/// Ends the process with the status that `work` answers; a mistake in the settings is told in one
/// line, with the exit status of sysexits(3) for it.
func finish(_ work: () throws(ConfigurationError) -> Int32) throws {
    do {
        let status = try work()
        throw ExitCode(status)
    } catch let error as ConfigurationError {
        RatelProcess.complain("ratel: \(error)")
        throw ExitCode(78)
    }
}

/// Prints what was found and ends the process with its status.
func report(_ look: () throws(ConfigurationError) -> Inspector.Finding) throws {
    try finish { () throws(ConfigurationError) in
        let finding = try look()
        if !finding.notice.isEmpty { RatelProcess.complain(String(finding.notice.dropLast())) }
        RatelProcess.write(finding.output)
        return finding.status
    }
}

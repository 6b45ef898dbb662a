import Appraisal
import FoundationEssentials
import Glibc
import Keys

/// Times the verification of Evidence: `EvidenceBench warm|cold ROUNDS FOLDER=UNIXTIME …`.
///
/// Prints a line for each: kind, folder, and the median of the CPU microseconds of one
/// verification. Warm, authorities, collateral and the platform's chain were seen before, while
/// signatures of Evidence are never remembered; cold, all of it is forgotten each time.
@main struct EvidenceBench {
    static func main() throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.count > 2, let rounds = Int(arguments[1]) else { exit(2) }
        for argument in arguments.dropFirst(2) {
            let parts = argument.split(separator: "=")
            guard parts.count == 2, let now = Int64(parts[1]) else { exit(2) }
            let path = String(parts[0])
            var files: [String: [UInt8]] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: path) {
                files[name] = FileManager.default.contents(atPath: path + "/" + name)
                    .map { Array($0) }
            }
            guard let bundle = EvidenceBundle(files: files) else { exit(2) }
            let time = try median(rounds, bundle, now, isCold: arguments[0] == "cold")
            print("\(bundle.kind.rawValue) \(path) \(time)")
        }
    }

    private static func median(
        _ rounds: Int, _ bundle: EvidenceBundle, _ now: Int64, isCold: Bool
    ) throws -> Double {
        var times: [Double] = []
        for round in 0..<(rounds + rounds / 10 + 1) {
            if isCold { VerificationMemory.clear() }
            let began = cpu()
            _ = try bundle.authenticate(now: now)
            if round > rounds / 10 { times.append(cpu() - began) }
        }
        times.sort()
        return times[times.count / 2]
    }

    /// Microseconds of CPU that this process has used.
    private static func cpu() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}

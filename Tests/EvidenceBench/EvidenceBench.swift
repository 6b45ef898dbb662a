import Appraisal
import FoundationEssentials
import Glibc

/// Times the verification of Evidence in folders: `EvidenceBench ROUNDS FOLDER=UNIXTIME …`.
///
/// Prints a line for each: kind, and the median of the CPU microseconds of one verification. Only
/// certificates that were read stay in memory between two rounds.
@main struct EvidenceBench {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let rounds = arguments.first.flatMap({ Int($0) }) else { exit(2) }
        for argument in arguments.dropFirst() {
            let parts = argument.split(separator: "=")
            guard parts.count == 2, let now = Int64(parts[1]) else { exit(2) }
            let path = String(parts[0])
            var files: [String: [UInt8]] = [:]
            for name in try FileManager.default.contentsOfDirectory(atPath: path) {
                files[name] = FileManager.default.contents(atPath: path + "/" + name)
                    .map { Array($0) }
            }
            guard let bundle = EvidenceBundle(files: files) else { exit(2) }
            var times: [Double] = []
            for round in 0..<(rounds + rounds / 10 + 1) {
                let began = cpu()
                _ = try bundle.authenticate(now: now)
                if round > rounds / 10 { times.append(cpu() - began) }
            }
            times.sort()
            print("\(bundle.kind.rawValue) \(path) \(times[times.count / 2])")
        }
    }

    /// Microseconds of CPU that this process has used.
    private static func cpu() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}

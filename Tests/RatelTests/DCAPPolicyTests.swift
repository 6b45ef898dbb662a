import Appraisal
import Keys
import RATS
import Ratel
import Testing

/// The sections `tdx` and `sgx`.
struct DCAPPolicyTests {
    private func code(_ text: String) -> String {
        do throws(Refusal) {
            _ = try PolicyLoader.load(bytes: Array(text.utf8))
            return "read"
        } catch {
            return error.code
        }
    }

    private static let measurement = String(repeating: "ab", count: 48)

    private let tdx = """
        version: 1
        peers:
          - name: inference-nodes
            require: {tdx: 1}
            tdx:
              mrtd: ["\(measurement)"]
              rtmr: {0: ["\(measurement)"], 1: any, 2: any, 3: any}
              mrconfigid: any
              mrowner: any
              mrownerconfig: any
              attributes: [pks]
              tcb:
                accept: [UpToDate]
                tolerate:
                  - {status: OutOfDate, advisories: [INTEL-SA-1], until: 2027-03-01}
                min_evaluation: 18
              platforms: any
        """

    private let sgx = """
        version: 1
        peers:
          - name: enclaves
            require: {sgx: 1}
            sgx:
              mrenclave: any
              mrsigner: ["\(String(repeating: "cd", count: 32))"]
              isvprodid: ["0001"]
              min_isvsvn: 2
              tcb: {accept: [SWHardeningNeeded], min_evaluation: 0}
              platforms: any
        """

    @Test func aCompleteSectionIsReadAndExplained() throws {
        let policy = try PolicyLoader.load(bytes: Array(tdx.utf8))
        let words = PolicyExplanation.text(policy)
        #expect(words.contains("MRTD is \(DCAPPolicyTests.measurement)"))
        #expect(words.contains("pks"))
        #expect(words.contains("also OutOfDate, for INTEL-SA-1"))
        #expect(code(sgx) == "read")
    }

    @Test func everyChoiceMustBeMade() {
        let lines = [
            "mrtd", "rtmr", "mrconfigid", "mrowner", "mrownerconfig", "attributes", "platforms",
            "  min_evaluation",
        ]
        for line in lines {
            let rest = tdx.split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("      " + line) }
            #expect(rest.joined(separator: "\n") != tdx, "\(line)")
            #expect(code(rest.joined(separator: "\n")) == "policy.key.missing", "\(line)")
        }
    }

    @Test func nonsenseIsRefused() {
        let cases = [
            ("mrtd: [\"\(DCAPPolicyTests.measurement)\"]", "mrtd: [\"ab\"]"),
            ("3: any}", "3: any, 4: any}"), ("attributes: [pks]", "attributes: [debug]"),
            ("accept: [UpToDate]", "accept: [Revoked]"),
            ("accept: [UpToDate]", "accept: [Good]"), ("2027-03-01", "soon"),
            ("require: {tdx: 1}", "require: {tpm: 1}"), ("platforms: any", "platforms: [\"00\"]"),
        ]
        for (part, other) in cases {
            let changed = tdx.replacing(part, with: other)
            #expect(changed != tdx, "\(part)")
            #expect(code(changed) != "read", "\(other)")
        }
    }
}

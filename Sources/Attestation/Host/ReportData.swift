internal import Keys
internal import RATS

/// Whether a fresh quote covers what it was asked to.
///
/// A quote over other bytes would only be refused at the far end, where it reads like an attack:
/// here it is known to be this machine's fault, most likely another process in between.
enum ReportData {
    static func check(
        _ expected: [UInt8], in quote: [UInt8], at offset: Int, of format: EvidenceFormat
    ) throws(Refusal) {
        let end = offset + expected.count
        let found = end <= quote.count ? Array(quote[offset..<end]) : []
        guard found == expected else {
            throw Refusal(
                "\(format.rawValue).report_data.other", .attestation, kind: format.rawValue,
                field: "report_data of the fresh quote", expected: Hex.encode(expected),
                got: found.isEmpty ? "\(quote.count) bytes of quote" : Hex.encode(found),
                remedy: "find what else on this machine asks for quotes through this interface")
        }
    }
}

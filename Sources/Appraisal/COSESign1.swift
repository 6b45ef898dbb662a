internal import Keys

/// A COSE_Sign1 whose header may have more than the algorithm (RFC 9052 section 4.2).
struct COSESign1: Sendable {
    /// The header under the signature.
    let header: [CBORValue.Entry]
    let algorithm: TokenAlgorithm
    /// `kid`, where it is text.
    let keyName: String?
    let payload: [UInt8]
    let signature: [UInt8]
    /// Sig_structure without external data, section 4.4.
    let signed: [UInt8]

    /// Why a structure cannot be used.
    enum Trouble: Error {
        case malformed
        /// What must be understood and is not, or an algorithm that is not under the signature.
        case header
        case algorithm
    }

    /// Takes what stands under tag 18.
    init(_ value: CBORValue) throws(Trouble) {
        guard let items = value.items, items.count == 4, let protected = items[0].byteString,
            let open = items[1].entries, let payload = items[2].byteString,
            let signature = items[3].byteString,
            let header = (try? CBORDecoder.decode(protected, rules: .anyOrder))?.entries
        else { throw .malformed }
        // Labels of section 3.1: 1 alg, 2 crit, 4 kid.
        guard COSESign1.field(2, header) == nil, COSESign1.field(2, open) == nil,
            COSESign1.field(1, open) == nil
        else { throw .header }
        let found = COSESign1.field(1, header)
        let known = TokenAlgorithm.allCases.first { .negative($0.number) == found }
        guard let known else { throw .algorithm }
        algorithm = known
        keyName = (COSESign1.field(4, header) ?? COSESign1.field(4, open))?.byteString.flatMap {
            String(validating: $0, as: UTF8.self)
        }
        self.header = header
        self.payload = payload
        self.signature = signature
        signed = CBORValue.array([
            .text("Signature1"), .bytes(protected), .bytes([]), .bytes(payload),
        ]).encoded()
    }

    /// The value under a number.
    static func field(_ number: UInt64, _ entries: [CBORValue.Entry]) -> CBORValue? {
        entries.first { $0.key == .unsigned(number) }?.value
    }

    /// Whether one of `keys` signed it.
    func isSigned(by keys: VerifierKeys) -> Bool {
        keys.candidates(algorithm, named: keyName).contains {
            algorithm.verifies(signature, over: signed, by: $0)
        }
    }
}

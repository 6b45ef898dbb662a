import Keys
import RATS
import Testing

@testable import Ratel

/// The `provider` object, as SDKs and people write it.
struct MarketPreferencesTests {
    private func read(
        _ provider: String, ratel: String? = nil, suffix: ProviderPreferences.Sort? = nil
    ) throws -> ProviderPreferences {
        func parse(_ text: String) throws -> JSONValue {
            let value = JSONParser.parse(Array(text.utf8))
            return try #require(value)
        }
        return try ProviderPreferences(
            provider: parse(provider), ratel: try ratel.map(parse), suffix: suffix)
    }

    @Test func everyFieldIsRead() throws {
        let read = try read(
            """
            {"order": ["a", "b"], "only": ["a", "b", "c"], "ignore": ["d"],
             "allow_fallbacks": false,
             "require_parameters": true,
             "data_collection": "deny", "quantizations": ["fp8"],
             "sort": "throughput", "preferred_min_throughput": 50, "preferred_max_latency": 1.5,
             "max_price": {"prompt": 0.15, "completion": "0.6", "request": "0.000000001",
                           "image": 1},
             "attestation": {"required": true, "sessions": ["s"], "min_claims": ["tdx"],
                             "max_age_s": 60}, "enforce_distillable_text": true}
            """, ratel: #"{"regions": ["eu"]}"#)
        var expected = ProviderPreferences()
        expected.order = ["a", "b"]
        expected.only = ["a", "b", "c"]
        expected.ignore = ["d"]
        expected.allowsFallbacks = false
        expected.requiresParameters = true
        expected.deniesRetention = true
        expected.quantizations = ["fp8"]
        expected.sort = .throughput
        expected.maxGap = 20_000
        expected.maxLatency = 1_500_000
        expected.maxPrice = .init(input: 150_000_000, output: 600_000_000, request: 1)
        expected.attestation = .init(sessions: ["s"], claims: ["tdx"], maxAge: 60)
        expected.regions = ["eu"]
        expected.ignored = ["enforce_distillable_text"]
        #expect(read == expected)
    }

    @Test func whatIsNotSaidIsNotDemanded() throws {
        #expect(try ProviderPreferences(provider: nil) == ProviderPreferences())
        #expect(try read("null") == ProviderPreferences())
        #expect(try read(#"{"order": null, "sort": null, "zdr": null}"#) == ProviderPreferences())
        #expect(try read("{}").allowsFallbacks)
    }

    @Test func objectsWithPercentilesAndPartitionsAreRead() throws {
        let read = try read(
            """
            {"sort": {"by": "price", "partition": "none"},
             "preferred_max_latency": {"p50": 1, "p90": 3},
             "preferred_min_throughput": {"p50": 50, "p90": 20}}
            """)
        #expect(read.sort == .price && read.maxLatency == 1_000_000 && read.maxGap == 20_000)
    }

    @Test func suffixesSort() throws {
        #expect(ModelName("org/m:floor").sort == .price)
        #expect(
            ModelName("org/m:nitro").name == "org/m" && ModelName("m:nitro").sort == .throughput)
        #expect(ModelName("m:free") == ModelName("m:free") && ModelName("m:free").name == "m:free")
        #expect(ModelName(":floor").name == ":floor")
        #expect(try read("{}", suffix: .price).sort == .price)
        #expect(try read(#"{"sort": "latency"}"#, suffix: .price).sort == .latency)
    }

    @Test func whatCannotBeMeantIsRefused() throws {
        for (provider, code, field) in [
            ("[]", "type", "provider"), (#"{"order": "a"}"#, "type", "provider.order"),
            (#"{"only": [1]}"#, "type", "provider.only[0]"),
            (#"{"ignore": [""]}"#, "value", "provider.ignore[0]"),
            (#"{"allow_fallbacks": "no"}"#, "type", "provider.allow_fallbacks"),
            (#"{"require_parameters": 1}"#, "type", "provider.require_parameters"),
            (#"{"data_collection": true}"#, "type", "provider.data_collection"),
            (#"{"data_collection": "never"}"#, "value", "provider.data_collection"),
            (#"{"zdr": "yes"}"#, "type", "provider.zdr"),
            (#"{"quantizations": {}}"#, "type", "provider.quantizations"),
            (#"{"sort": 1}"#, "type", "provider.sort"),
            (#"{"sort": "cheap"}"#, "value", "provider.sort"),
            (#"{"sort": {"by": "cheap"}}"#, "value", "provider.sort.by"),
            (#"{"preferred_max_latency": []}"#, "type", "provider.preferred_max_latency"),
            (#"{"preferred_max_latency": -1}"#, "value", "provider.preferred_max_latency"),
            (
                #"{"preferred_max_latency": {"p51": 1}}"#, "unknown",
                "provider.preferred_max_latency.p51"
            ),
            (#"{"max_price": 1}"#, "type", "provider.max_price"),
            (#"{"max_price": {"prompt": "cheap"}}"#, "value", "provider.max_price.prompt"),
            (#"{"attestation": true}"#, "type", "provider.attestation"),
            (#"{"attestation": {"max_age": 1}}"#, "unknown", "provider.attestation.max_age"),
            (#"{"attestation": {"max_age_s": 1.5}}"#, "value", "provider.attestation.max_age_s"),
            (#"{"attestation": {"required": 1}}"#, "type", "provider.attestation.required"),
        ] {
            let refusal = #expect(throws: Refusal.self) { try read(provider) }
            #expect(refusal?.code == "request.provider.\(code)" && refusal?.field == field)
        }
        let refusal = #expect(throws: Refusal.self) { try read("{}", ratel: #"{"region": "eu"}"#) }
        #expect(refusal?.code == "request.provider.unknown" && refusal?.field == "ratel.region")
    }

    @Test func decimalsAreReadWithoutRounding() {
        let cases: [(String, Int64?)] = [
            ("0", 0), ("1", 1_000_000_000), ("0.000000001", 1), ("0.0000000019", 1),
            ("1e-3", 1_000_000), ("2.5E3", 2_500_000_000_000), ("1000000", 1_000_000_000_000_000),
            ("1000001", nil), ("1e7", nil), ("-1", nil), ("", nil), (".5", nil), ("5.", nil),
            ("1e", nil), ("1e9999", nil), ("1.2.3", nil), ("0x1", nil), ("0e99", 0),
            ("1e-99", 0), ("١", nil),
        ]
        for (text, expected) in cases {
            #expect(Decimal.billionths(text) == expected, "\(text)")
        }
    }
}

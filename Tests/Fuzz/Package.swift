// swift-tools-version: 6.2
import PackageDescription

// One libFuzzer target per parser, over the sources of the product themselves (the folders of
// Sources are links), so that the parsers too are built with coverage. See `make fuzz`.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: ["FuzzSupport"] + dependencies)
}

let package = Package(
    name: "fuzz",
    dependencies: [.package(url: "https://github.com/jpsim/Yams", from: "6.2.2")],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
        .systemLibrary(name: "CLibXML2", pkgConfig: "libxml-2.0"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
        .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2"),
        .target(name: "CRecycler"),
        module("Bytes"),
        module("HTTP", ["Bytes", "CNGHTTP2", "CRecycler"]),
        module("Keys", ["Bytes", "COpenSSL", "CLibXML2", "CZlib"]),
        module("TLS", ["Bytes", "Keys", "COpenSSL", "CRecycler"]),
        module("RATS", ["Bytes"]),
        module("Appraisal", ["Bytes", "RATS", "Keys"]),
        module("RATLS", ["Bytes", "RATS", "Keys", "TLS", "Appraisal"]),
        module("Policy", ["Appraisal", "RATS", "Keys", .product(name: "Yams", package: "Yams")]),
        module("Injection", ["RATS", "Keys"]),
        module("FuzzSupport"),
        .target(name: "FuzzCertificates", dependencies: ["Keys"]),
        fuzzer("FuzzRequestHead", ["HTTP"]),
        fuzzer("FuzzResponseHead", ["HTTP"]),
        fuzzer("FuzzBodyReader", ["HTTP"]),
        fuzzer("FuzzHTTP2", ["HTTP", "Bytes"]),
        fuzzer("FuzzProxyHeader", ["HTTP"]),
        fuzzer("FuzzModel", ["HTTP", "Keys"]),
        fuzzer("FuzzReview", ["Injection", "RATS", "Keys"]),
        fuzzer("FuzzCBOR", ["Keys"]),
        fuzzer("FuzzJSON", ["Keys"]),
        fuzzer("FuzzMembers", ["Keys"]),
        fuzzer("FuzzCertificate", ["Keys"]),
        fuzzer("FuzzFrames", ["RATLS", "RATS"]),
        fuzzer("FuzzSession", ["Keys", "RATLS", "RATS"]),
        fuzzer("FuzzTPM", ["Appraisal"]),
        fuzzer("FuzzDCAP", ["Appraisal", "RATS", "Keys", "FuzzCertificates"]),
        fuzzer("FuzzSNP", ["Appraisal", "RATS", "Keys", "FuzzCertificates"]),
        fuzzer("FuzzNitro", ["Appraisal", "RATS", "Keys"]),
        fuzzer("FuzzNVIDIA", ["Appraisal", "RATS", "Keys", "FuzzCertificates"]),
        fuzzer("FuzzRIM", ["Appraisal", "RATS", "Keys"]),
        fuzzer("FuzzOCSP", ["Keys", "FuzzCertificates"]),
        fuzzer("FuzzCCA", ["Appraisal", "RATS", "Keys"]),
        fuzzer("FuzzBundle", ["Appraisal", "RATS", "Keys", "FuzzCertificates"]),
        fuzzer("FuzzResult", ["Appraisal", "RATS", "Keys"]),
        fuzzer("FuzzDialects", ["Appraisal", "RATS", "Keys", "FuzzCertificates"]),
        fuzzer("FuzzPolicy", ["Policy", "Appraisal"]),
    ]
)

// swift-tools-version: 6.2
import PackageDescription

// Every target is held to the same strictness; `unsafe` is confined by Tests/Tidy.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func library(_ name: String, pkgConfig: String, package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

let package = Package(
    name: "ratel",
    products: [.executable(name: "ratel", targets: ["RatelCommand"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        library("CUV", pkgConfig: "libuv", package: "libuv1-dev"),
        library("COpenSSL", pkgConfig: "openssl", package: "libssl-dev"),
        library("CLibXML2", pkgConfig: "libxml-2.0", package: "libxml2-dev"),
        library("CZlib", pkgConfig: "zlib", package: "zlib1g-dev"),
        library(
            "CTSS2", pkgConfig: "tss2-esys tss2-mu tss2-tctildr tss2-rc", package: "libtss2-dev"),

        library("CSQLite", pkgConfig: "sqlite3", package: "libsqlite3-dev"),
        library("CPostgreSQL", pkgConfig: "libpq", package: "libpq-dev"),
        library("CNGHTTP2", pkgConfig: "libnghttp2", package: "libnghttp2-dev"),

        .target(name: "CRecycler"),

        module("Bytes"),
        module("Loop", ["Bytes", "CUV"]),
        module("Keys", ["Bytes", "COpenSSL", "CLibXML2", "CZlib"]),
        module("TLS", ["Bytes", "Keys", "COpenSSL", "CRecycler"]),
        module("HTTP", ["Bytes", "CNGHTTP2", "CRecycler"]),
        module("Streams", ["Bytes", "Loop", "TLS", "HTTP"]),
        module("RATS", ["Bytes"]),
        module("Attestation", ["Bytes", "RATS", "Keys", "CTSS2"]),
        module("Appraisal", ["Bytes", "RATS", "Keys"]),
        module("RATLS", ["Bytes", "RATS", "Keys", "TLS", "Appraisal"]),
        module("Receipts", ["RATS", "Keys"]),
        module("Ledger", ["Receipts", "RATS", "Keys", "Loop", "CSQLite", "CPostgreSQL"]),
        module(
            "Ratel",
            [
                "Bytes", "Loop", "Keys", "TLS", "HTTP", "Streams", "RATS", "Attestation",
                "Appraisal", "RATLS", "Receipts", "Ledger",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .executableTarget(
            name: "RatelCommand",
            dependencies: [
                "Ratel",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict
        ),

        // Tells the differential test how `HTTP` reads a message; no part of the product.
        .executableTarget(
            name: "HTTPProbe", dependencies: ["HTTP"], path: "Tests/HTTPProbe",
            swiftSettings: strict),

        // Times the verification of Evidence; no part of the product.
        .executableTarget(
            name: "EvidenceBench", dependencies: ["Appraisal", "Keys"], path: "Tests/EvidenceBench",
            exclude: ["run.py"], swiftSettings: strict),
        // Times the opening of attested connections; no part of the product.
        .executableTarget(
            name: "ChannelBench",
            dependencies: ["RATLS", "Appraisal", "RATS", "Keys", "TLS", "Attestation", "Bytes"],
            path: "Tests/ChannelBench", swiftSettings: strict),
        // Writes a ledger until it is killed; no part of the product.
        .executableTarget(
            name: "LedgerRun",
            dependencies: ["Ledger", "Receipts", "Keys", "RATS", "Loop", "Bytes"],
            path: "Tests/LedgerRun", swiftSettings: strict),
        // The market in simulated time, for a test and for `make market`; no part of the product.
        .target(
            name: "MarketSimulation", dependencies: ["Ratel", "Receipts", "Keys", "RATS"],
            path: "Tests/MarketSimulation", swiftSettings: strict),
        .executableTarget(
            name: "MarketRun", dependencies: ["MarketSimulation"], path: "Tests/MarketRun",
            swiftSettings: strict),

        tests("BytesTests", ["Bytes"]),
        tests("HTTPTests", ["HTTP", "Bytes"]),
        tests("KeysTests", ["Keys", "Bytes"]),
        tests("AppraisalTests", ["Appraisal", "RATS", "Keys", "Attestation", "Bytes"]),
        tests("AttestationTests", ["Attestation", "RATS", "Keys"]),
        tests("RATLSTests", ["RATLS", "Appraisal", "RATS", "Keys", "TLS", "Attestation", "Bytes"]),
        tests("ReceiptsTests", ["Receipts", "RATS", "Keys"]),
        tests("LedgerTests", ["Ledger", "Receipts", "RATS", "Keys"]),
        tests("LoopTests", ["Loop", "Bytes"]),
        tests("TLSTests", ["TLS", "Keys", "Bytes"]),
        tests(
            "RatelTests",
            [
                "Ratel", "RATLS", "Appraisal", "Attestation", "RATS", "Keys", "Bytes", "Loop",
                "Receipts", "MarketSimulation", "Streams",
                .product(name: "Logging", package: "swift-log"),
            ]),
    ]
)

import DatabaseSettings
import PluginAPI
import SQL

/// The plugin's section of `plugins.conf`.
struct DomainSettings: PluginSettings {
  var database: String
  var signupCredits: Int64
  var redeemCode: [String]
  var model: [String]
  var paymentProvider: PaymentProviderKind
  var paymentEndpoint: String?
  var paymentToken: String?
  var paymentTimeout: Duration
  var paymentRetries: Int
  var generationProvider: GenerationProviderKind
  var generationEndpoint: String?
  var generationToken: String?
  var generationTimeout: Duration
  var generationRetries: Int
  var generationMaxImage: Int
  var providerAuthorities: String?
  var providerProxy: String?
  var workers: Int
  var jobLease: Duration
  var jobAttempts: Int
  var idempotencyWindow: Duration

  static var schema: [Setting] {
    [
      Setting(
        "database", .string, default: "sqlite", secret: true,
        help: "sqlite: one file in the state directory. Or postgres://user:password@host:port/database"),
      Setting("signup-credits", .integer, default: "100", help: "Credits of a new user."),
      Setting(
        "redeem-code", .string, repeatable: true,
        help: "A code and its credits: WELCOME 50 limit 100 expires 2027-01-01"),
      Setting(
        "model", .string, repeatable: true,
        help: "A model: sketch-1 price 5 max 1024x1024 style flow name Sketch 1. None stated: two local ones."
      ),
      Setting(
        "payment-provider", .string, default: "none", choices: ["none", "http"],
        help: "Who takes payments: none answers 501; http posts to payment-endpoint."),
      Setting("payment-endpoint", .string, help: "The URL that payments are posted to."),
      Setting("payment-token", .string, secret: true, help: "Sent to it as a bearer token."),
      Setting(
        "payment-timeout", .duration, default: "10s",
        help: "How long a payment may take, 1s to 25s, retries included."),
      Setting(
        "payment-retries", .integer, default: "2", help: "How often a payment is tried again, 0 to 10."),
      Setting(
        "generation-provider", .string, default: "local", choices: ["local", "http"],
        help: "Who runs generations: local renders here; http posts to generation-endpoint."),
      Setting("generation-endpoint", .string, help: "The URL that generations are posted to."),
      Setting("generation-token", .string, secret: true, help: "Sent to it as a bearer token."),
      Setting(
        "generation-timeout", .duration, default: "2m",
        help: "How long a generation may take there, 1s to 1h, retries and waiting included."),
      Setting(
        "generation-retries", .integer, default: "3", help: "How often a request is tried again, 0 to 10."),
      Setting(
        "generation-max-image", .size, default: "16m", help: "The largest image that is taken, 1k to 256m."),
      Setting(
        "provider-authorities", .string,
        help:
          "A PEM file of the authorities that providers' certificates must be signed by; unset, the system's."
      ),
      Setting(
        "provider-proxy", .string, secret: true,
        help: "The URL of a proxy to the providers. The environment's are not used."),
      Setting("workers", .integer, default: "2", help: "Threads that run generations, 0 to 16."),
      Setting(
        "job-lease", .duration, default: "20s",
        help: "How long after its last sign of life a generation is run again."),
      Setting(
        "job-attempts", .integer, default: "3",
        help: "How often a generation is run, should its runs die, before it fails and is refunded."),
      Setting(
        "idempotency-window", .duration, default: "24h", help: "How long answers are kept by Idempotency-Key."
      ),
    ]
  }

  /// Which database.
  /// - Throws: `SettingsError`, which does not show the setting: it may hold a password.
  func databaseSetting() throws -> DatabaseSetting {
    guard let setting = DatabaseSetting(database) else {
      throw SettingsError(key: "database", reason: DatabaseSetting.expectation)
    }
    do {
      try setting.check()
    } catch {
      throw SettingsError(key: "database", reason: error.message)
    }
    return setting
  }

  /// Refuses what the schema cannot.
  /// - Throws: `SettingsError`.
  func check() throws {
    _ = try databaseSetting()
    try checkProviders()
    _ = try RedemptionCode.table(redeemCode)
    _ = try ModelCatalogue(model)
    guard 0...1_000_000_000 ~= signupCredits else {
      throw SettingsError(key: "signup-credits", reason: "is not within 0 to 1000000000")
    }
    guard 0...16 ~= workers else { throw SettingsError(key: "workers", reason: "is not within 0 to 16") }
    guard 1...100 ~= jobAttempts else {
      throw SettingsError(key: "job-attempts", reason: "is not within 1 to 100")
    }
    guard jobLease >= .milliseconds(100), jobLease <= .seconds(3600) else {
      throw SettingsError(key: "job-lease", reason: "is not within 100ms to 1h")
    }
    guard idempotencyWindow >= .seconds(1) else {
      throw SettingsError(key: "idempotency-window", reason: "is under 1s")
    }
  }
}

extension Duration {
  /// Whole milliseconds, rounded down.
  var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

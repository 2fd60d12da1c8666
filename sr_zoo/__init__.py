"""The models: their networks (`archs`, torch), their files (`models`, no torch), and your own
(`importing`)."""

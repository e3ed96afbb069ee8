.PHONY: manifests
manifests:
	@true

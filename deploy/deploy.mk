.PHONY: manifests
manifests: $(TEST_STAMP) ## Render the Kubernetes manifests and check them against its schemas
	$(BIN)/python -m tests.manifests

(use-modules (haunt asset) (haunt builder blog) (haunt reader) (haunt site))

(site #:title "Hello from Haunt"
      #:domain "example.org"
      #:readers (list sxml-reader)
      #:builders (list (blog)))

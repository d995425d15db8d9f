;; Serves the folder site/, which `haunt build` made.
(use-modules (ice-9 textual-ports)
             (web request)
             (web response)
             (web server)
             (web uri))

(define (page parts)
  (let ((parts (if (null? parts) '("index.html") parts)))
    (and (not (member ".." parts))
         (string-append "site/" (string-join parts "/")))))

(define (answer request body)
  (let ((file (page (split-and-decode-uri-path (uri-path (request-uri request))))))
    (if (and file (file-exists? file) (eq? 'regular (stat:type (stat file))))
        (values '((content-type . (text/html)))
                (call-with-input-file file get-string-all))
        (values (build-response #:code 404) "no such page\n"))))

(define port (string->number (or (getenv "PORT") "8080")))
(run-server answer 'http `(#:addr ,INADDR_ANY #:port ,port))

;;; quick_fix.el --- a broken project in Emacs with eglot  -*- lexical-binding: t -*-

;; `emacs -Q --batch -l quick_fix.el'. Environment: PROJECT, SNIPPET (what the README says goes into init.el).
;; Everything waits for an event with a deadline; nothing sleeps.

(require 'cl-lib)
(require 'eglot)
(require 'flymake)

(setq make-backup-files nil
      create-lockfiles nil
      eglot-confirm-server-edits nil
      ;; Menus are answered through `completing-read', not through a mouse.
      last-nonmenu-event t)

(load (getenv "SNIPPET") nil t)

(defun t-fail (format &rest arguments)
  (message "FAILED: %s" (apply #'format format arguments))
  (kill-emacs 1))

(defun t-wait (what condition)
  (let ((deadline (+ (float-time) 300)))
    (while (not (funcall condition))
      (when (> (float-time) deadline)
        (t-fail "waited in vain for %s" what))
      (accept-process-output nil 0.02))))

(defun t-open (name)
  "Open a file of the project and attach the server to it."
  (find-file (expand-file-name name (getenv "PROJECT")))
  (unless (eglot-current-server)
    (apply #'eglot--connect (eglot--guess-contact)))
  (t-wait "the server" (lambda () (and (eglot-current-server) (eglot-managed-p))))
  ;; Without a display, nothing else starts it.
  (flymake-start)
  (current-buffer))

(defun t-go (line)
  (goto-char (point-min))
  (forward-line (1- line)))

(defun t-actions ()
  (ignore-errors (append (eglot-code-actions (point) (point)) nil)))

(let ((source (t-open "people.py"))
      (tests (t-open "test_people.py")))
  (with-current-buffer tests
    (t-wait "the diagnostic" (lambda () (flymake-diagnostics)))
    (let ((diagnostic (car (flymake-diagnostics))))
      (unless (= (line-number-at-pos (flymake-diagnostic-beg diagnostic)) 5)
        (t-fail "the diagnostic is on line %d" (line-number-at-pos (flymake-diagnostic-beg diagnostic))))
      (unless (string-match-p "test_adult_on_the_birthday" (flymake-diagnostic-text diagnostic))
        (t-fail "the diagnostic says %s" (flymake-diagnostic-text diagnostic))))
    (t-go 5)
    (t-wait "a verified fix" #'t-actions)
    ;; The menu as a person opens it; the first entry is taken.
    (let ((completing-read-function
           (lambda (_prompt choices &rest _) (car (all-completions "" choices)))))
      (eglot-code-actions (point) (point) nil t)))
  (with-current-buffer source
    (t-wait "the edit"
            (lambda () (save-excursion (goto-char (point-min)) (search-forward "age >= 18" nil t)))))
  (dolist (buffer (list source tests))
    (with-current-buffer buffer
      (when (buffer-modified-p) (save-buffer))))
  (with-current-buffer tests
    (t-wait "the diagnostics to clear" (lambda () (not (flymake-diagnostics)))))
  (with-current-buffer source
    (eglot-shutdown (eglot-current-server)))
  (message "Emacs %s: applied" emacs-version))
